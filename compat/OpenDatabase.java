import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.ZKDatabase;
import org.apache.zookeeper.server.persistence.FileTxnSnapLog;

/** Opens one directory as a server does at its start, once per line read, and says what came out. */
public class OpenDatabase {
    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err);
        File directory = new File(args[0]);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        while (lines.readLine() != null) {
            out.println(open(directory));
            out.flush();
        }
    }

    private static String open(File directory) {
        FileTxnSnapLog files = null;
        try {
            files = new FileTxnSnapLog(directory, directory);
            ZKDatabase database = new ZKDatabase(files);
            database.loadDataBase();
            DataTree tree = database.getDataTree();
            // The root counts twice, as "" and as "/".
            return "opened " + tree.lastProcessedZxid + " " + tree.getTreeDigest() + " "
                + (tree.getNodeCount() - 1) + " " + database.getSessionWithTimeOuts().size();
        } catch (Throwable error) {
            return "refused " + String.valueOf(error).replace('\n', ' ');
        } finally {
            try {
                if (files != null) {
                    files.close();
                }
            } catch (Exception ignored) {
                // nothing to save
            }
        }
    }
}
