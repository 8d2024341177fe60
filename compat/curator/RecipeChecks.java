import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.RetryPolicy;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/**
 * Curator's recipes against the server given as host:port; "--ttl" if it has TTL nodes.
 *
 * <p>One line is printed for each passed check; the first which fails ends the program.
 */
public final class RecipeChecks {
    private static final int LIMIT_SECONDS = 60;
    private static final int WAIT_SECONDS = 10;
    private static final int SESSION_MILLIS = 10_000;

    private final String address;
    private final CuratorFramework one;
    private final CuratorFramework two;
    private final ExecutorService threads = Executors.newCachedThreadPool();

    private interface Check {
        void run() throws Exception;
    }

    private RecipeChecks(String address) {
        this.address = address;
        one = client();
        two = client();
    }

    public static void main(String[] arguments) {
        limitTime();
        List<String> given = Arrays.asList(arguments);
        RecipeChecks checks = new RecipeChecks(given.get(0));
        checks.all(given.contains("--ttl"));
        System.exit(0);
    }

    private void all(boolean ttl) {
        check("create-modes", this::createModes);
        check("protected-create", this::protectedCreate);
        check("acl", this::acl);
        check("transaction", this::transaction);
        check("failed-transaction-changes-nothing", this::failedTransaction);
        check("mutex", this::mutex);
        check("mutex-times-out", this::mutexTimesOut);
        check("multi-lock", this::multiLock);
        check("read-write-lock", this::readWriteLock);
        check("semaphore", this::semaphore);
        check("leader-latch", this::leaderLatch);
        check("leader-selector", this::leaderSelector);
        check("curator-cache", this::curatorCache);
        check("path-children-cache", this::pathChildrenCache);
        check("persistent-watcher", this::persistentWatcher);
        check("barrier", this::barrier);
        check("double-barrier", this::doubleBarrier);
        check("queue", this::queue);
        check("shared-count", this::sharedCount);
        check("atomic-long", this::atomicLong);
        check("group-member", this::groupMember);
        check("persistent-node", this::persistentNode);
        check("session-expiry", this::sessionExpiry);
        if (ttl) {
            check("persistent-ttl-node", this::persistentTtlNode);
        }
        check("close", this::close);
    }

    private void check(String name, Check check) {
        try {
            check.run();
        } catch (Throwable error) {
            System.out.println("FAILED " + name + ": " + error);
            error.printStackTrace(System.out);
            System.out.flush();
            Runtime.getRuntime().halt(1);
        }
        System.out.println("ok " + name);
    }

    /** Ends the program, with what every thread was doing, if it takes too long. */
    private static void limitTime() {
        Thread watchdog = new Thread(() -> {
            try {
                TimeUnit.SECONDS.sleep(LIMIT_SECONDS);
            } catch (InterruptedException ended) {
                return;
            }
            System.out.println("FAILED: not at its end after " + LIMIT_SECONDS + " s");
            Thread.getAllStackTraces().forEach((thread, trace) -> {
                System.out.println(thread);
                for (StackTraceElement element : trace) {
                    System.out.println("    " + element);
                }
            });
            System.out.flush();
            Runtime.getRuntime().halt(3);
        });
        watchdog.setDaemon(true);
        watchdog.start();
    }

    private CuratorFramework client() {
        CuratorFramework client = CuratorFrameworkFactory.newClient(address, SESSION_MILLIS, 5_000, retry());
        client.start();
        return client;
    }

    private static RetryPolicy retry() {
        return new RetryNTimes(20, 50);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] data) {
        return new String(data, StandardCharsets.UTF_8);
    }

    private static void require(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    private static void same(Object expected, Object found, String what) {
        require(expected.equals(found), what + ": expected " + expected + ", found " + found);
    }

    private static void await(CountDownLatch latch, String what) throws InterruptedException {
        require(latch.await(WAIT_SECONDS, TimeUnit.SECONDS), "waited in vain for " + what);
    }

    private static <T> T next(BlockingQueue<T> queue, String what) throws InterruptedException {
        T item = queue.poll(WAIT_SECONDS, TimeUnit.SECONDS);
        require(item != null, "waited in vain for " + what);
        return item;
    }

    private static <T> T result(Future<T> future) throws Exception {
        return future.get(2 * WAIT_SECONDS, TimeUnit.SECONDS);
    }

    private void createModes() throws Exception {
        same("/modes/a/b", one.create().creatingParentsIfNeeded().forPath("/modes/a/b", bytes("x")), "path");
        String sequential = one.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/modes/s-");
        same("/modes/s-0000000001", sequential, "sequential path");
        one.create().withMode(CreateMode.EPHEMERAL).forPath("/modes/e");
        Stat stat = two.checkExists().forPath("/modes/e");
        same(one.getZookeeperClient().getZooKeeper().getSessionId(), stat.getEphemeralOwner(), "owner");
        one.createContainers("/modes/box");
        require(two.checkExists().forPath("/modes/box") != null, "the container is not there");
        same(Set.of("a", "s-0000000001", "e", "box"), Set.copyOf(two.getChildren().forPath("/modes")), "children");
        Stat updated = two.setData().withVersion(0).forPath("/modes/a/b", bytes("y"));
        same(1, updated.getVersion(), "version");
        try {
            two.setData().withVersion(0).forPath("/modes/a/b", bytes("z"));
            throw new AssertionError("a wrong version was accepted");
        } catch (KeeperException.BadVersionException expected) {
            same("y", text(one.getData().forPath("/modes/a/b")), "data");
        }
        one.delete().guaranteed().deletingChildrenIfNeeded().forPath("/modes");
        require(two.checkExists().forPath("/modes") == null, "the tree is still there");
    }

    private void protectedCreate() throws Exception {
        String path = one.create()
                .creatingParentsIfNeeded()
                .withProtection()
                .withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                .forPath("/protected/n-");
        require(path.matches("/protected/_c_[0-9a-f-]{36}-n-0000000000"), path);
        BlockingQueue<String> created = new LinkedBlockingQueue<>();
        one.create().inBackground((client, event) -> created.add(event.getName())).forPath("/protected/background");
        same("/protected/background", next(created, "the background result"), "path");
    }

    private void acl() throws Exception {
        CuratorFramework owner = CuratorFrameworkFactory.builder()
                .connectString(address)
                .retryPolicy(retry())
                .authorization("digest", bytes("ann:secret"))
                .build();
        owner.start();
        try {
            owner.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/private", bytes("x"));
            same("x", text(owner.getData().forPath("/private")), "the owner's data");
            try {
                one.getData().forPath("/private");
                throw new AssertionError("another client could read");
            } catch (KeeperException.NoAuthException expected) {
                same("digest", owner.getACL().forPath("/private").get(0).getId().getScheme(), "scheme");
            }
        } finally {
            owner.close();
        }
    }

    private void transaction() throws Exception {
        one.create().forPath("/tx", bytes("0"));
        one.create().forPath("/tx/old");
        List<CuratorTransactionResult> results = one.transaction().forOperations(
                one.transactionOp().check().withVersion(0).forPath("/tx"),
                one.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/tx/n-", bytes("n")),
                one.transactionOp().setData().withVersion(0).forPath("/tx", bytes("1")),
                one.transactionOp().delete().forPath("/tx/old"));
        same(4, results.size(), "results");
        same("/tx/n-0000000001", results.get(1).getResultPath(), "the sequential path");
        same(1, results.get(2).getResultStat().getVersion(), "the new version");
        same(List.of("n-0000000001"), two.getChildren().forPath("/tx"), "children");
        same("1", text(two.getData().forPath("/tx")), "data");
    }

    private void failedTransaction() throws Exception {
        one.create().forPath("/tx2", bytes("0"));
        try {
            one.transaction().forOperations(
                    one.transactionOp().create().forPath("/tx2/a"),
                    one.transactionOp().setData().withVersion(7).forPath("/tx2", bytes("1")),
                    one.transactionOp().delete().forPath("/tx2/a"));
            throw new AssertionError("a transaction with a wrong version succeeded");
        } catch (KeeperException.BadVersionException error) {
            same(3, error.getResults().size(), "results");
        }
        same(0, two.checkExists().forPath("/tx2").getVersion(), "version");
        same(0, two.checkExists().forPath("/tx2").getCversion(), "child version");
    }

    /** Four contenders of two clients: never two inside, and no increment of a plain node is lost. */
    private void mutex() throws Exception {
        int rounds = 15;
        one.create().forPath("/counter", bytes("0"));
        AtomicInteger inside = new AtomicInteger();
        List<Future<?>> contenders = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two, one, two)) {
            InterProcessMutex mutex = new InterProcessMutex(client, "/mutex");
            contenders.add(threads.submit((Callable<Void>) () -> {
                for (int round = 0; round < rounds; round++) {
                    require(mutex.acquire(2 * WAIT_SECONDS, TimeUnit.SECONDS), "the mutex was not acquired");
                    try {
                        same(1, inside.incrementAndGet(), "contenders inside");
                        int count = Integer.parseInt(text(client.getData().forPath("/counter")));
                        client.setData().forPath("/counter", bytes(Integer.toString(count + 1)));
                        inside.decrementAndGet();
                    } finally {
                        mutex.release();
                    }
                }
                return null;
            }));
        }
        for (Future<?> contender : contenders) {
            result(contender);
        }
        same(Integer.toString(4 * rounds), text(one.getData().forPath("/counter")), "the counter");
        same(List.of(), one.getChildren().forPath("/mutex"), "nodes left in the mutex");
    }

    private void mutexTimesOut() throws Exception {
        InterProcessMutex first = new InterProcessMutex(one, "/mutex2");
        InterProcessMutex second = new InterProcessMutex(two, "/mutex2");
        first.acquire();
        first.acquire();
        require(!second.acquire(100, TimeUnit.MILLISECONDS), "two have the mutex");
        same(1, first.getParticipantNodes().size(), "participants");
        first.release();
        require(!second.acquire(100, TimeUnit.MILLISECONDS), "the mutex was released too early");
        Future<Boolean> waiting = threads.submit(() -> {
            boolean acquired = second.acquire(WAIT_SECONDS, TimeUnit.SECONDS);
            second.release();
            return acquired;
        });
        first.release();
        require(result(waiting), "the waiting one did not get the mutex");
    }

    private void multiLock() throws Exception {
        InterProcessMultiLock both = new InterProcessMultiLock(one, List.of("/multi/a", "/multi/b"));
        InterProcessMutex single = new InterProcessMutex(two, "/multi/b");
        both.acquire();
        require(!single.acquire(100, TimeUnit.MILLISECONDS), "the second of two locks is free");
        both.release();
        require(single.acquire(WAIT_SECONDS, TimeUnit.SECONDS), "the second of two locks was not released");
        require(!both.acquire(100, TimeUnit.MILLISECONDS), "both locks with one taken");
        single.release();
    }

    private void readWriteLock() throws Exception {
        InterProcessReadWriteLock first = new InterProcessReadWriteLock(one, "/rw");
        InterProcessReadWriteLock second = new InterProcessReadWriteLock(two, "/rw");
        first.readLock().acquire();
        require(second.readLock().acquire(WAIT_SECONDS, TimeUnit.SECONDS), "no two readers");
        Future<Boolean> early = threads.submit(() -> second.writeLock().acquire(100, TimeUnit.MILLISECONDS));
        require(!result(early), "a writer with two readers");
        second.readLock().release();
        first.readLock().release();
        second.writeLock().acquire();
        require(!first.readLock().acquire(100, TimeUnit.MILLISECONDS), "a reader with a writer");
        require(second.readLock().acquire(WAIT_SECONDS, TimeUnit.SECONDS), "the writer cannot become a reader");
        second.writeLock().release();
        require(first.readLock().acquire(WAIT_SECONDS, TimeUnit.SECONDS), "no reader after the writer");
        first.readLock().release();
        second.readLock().release();
    }

    private void semaphore() throws Exception {
        InterProcessSemaphoreV2 first = new InterProcessSemaphoreV2(one, "/semaphore", 2);
        InterProcessSemaphoreV2 second = new InterProcessSemaphoreV2(two, "/semaphore", 2);
        Lease a = first.acquire();
        Lease b = second.acquire();
        require(first.acquire(100, TimeUnit.MILLISECONDS) == null, "three leases of two");
        Future<Lease> waiting = threads.submit(() -> first.acquire(WAIT_SECONDS, TimeUnit.SECONDS));
        second.returnLease(b);
        Lease c = result(waiting);
        require(c != null, "a returned lease was not given");
        first.returnAll(List.of(a, c));
    }

    private void leaderLatch() throws Exception {
        LeaderLatch first = new LeaderLatch(one, "/latch", "first");
        first.start();
        try (LeaderLatch second = new LeaderLatch(two, "/latch", "second")) {
            require(first.await(WAIT_SECONDS, TimeUnit.SECONDS), "no leader");
            second.start();
            require(!second.await(100, TimeUnit.MILLISECONDS), "two leaders");
            same("first", second.getLeader().getId(), "the leader");
            first.close();
            require(second.await(WAIT_SECONDS, TimeUnit.SECONDS), "no handover");
            same("second", second.getLeader().getId(), "the next leader");
        }
    }

    private void leaderSelector() throws Exception {
        AtomicInteger leaders = new AtomicInteger();
        BlockingQueue<String> turns = new LinkedBlockingQueue<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        CountDownLatch both = new CountDownLatch(2);
        for (CuratorFramework client : List.of(one, two)) {
            String name = client == one ? "one" : "two";
            LeaderSelector selector = new LeaderSelector(client, "/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework leader) throws Exception {
                    both.await();
                    turns.add(leaders.incrementAndGet() == 1 ? name : "two leaders at once");
                    leaders.decrementAndGet();
                }
            });
            selector.setId(name);
            selector.autoRequeue();
            selector.start();
            selectors.add(selector);
            both.countDown();
        }
        Set<String> seen = new TreeSet<>();
        for (int turn = 0; turn < 4 || seen.size() < 2; turn++) {
            seen.add(next(turns, "a turn of a leader"));
        }
        same(Set.of("one", "two"), seen, "leaders");
        selectors.forEach(LeaderSelector::close);
    }

    private void curatorCache() throws Exception {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        CountDownLatch initialized = new CountDownLatch(1);
        one.create().creatingParentsIfNeeded().forPath("/cache/before", bytes("0"));
        try (CuratorCache cache = CuratorCache.build(two, "/cache")) {
            cache.listenable().addListener(CuratorCacheListener.builder()
                    .forCreates(node -> events.add("created " + node.getPath() + " " + text(node.getData())))
                    .forChanges((old, node) ->
                            events.add("changed " + node.getPath() + " " + text(old.getData()) + text(node.getData())))
                    .forDeletes(node -> events.add("deleted " + node.getPath() + " " + text(node.getData())))
                    .afterInitialized()
                    .build());
            cache.listenable().addListener(
                    CuratorCacheListener.builder().forInitialized(initialized::countDown).build());
            cache.start();
            await(initialized, "the cache's initialization");
            same("0", text(cache.get("/cache/before").map(ChildData::getData).orElseThrow()), "cached data");
            one.create().forPath("/cache/n", bytes("a"));
            same("created /cache/n a", next(events, "the creation"), "event");
            one.create().forPath("/cache/n/deep", bytes("x"));
            same("created /cache/n/deep x", next(events, "the deep creation"), "event");
            one.setData().forPath("/cache/n", bytes("b"));
            same("changed /cache/n ab", next(events, "the change"), "event");
            one.delete().deletingChildrenIfNeeded().forPath("/cache/n");
            same("deleted /cache/n/deep x", next(events, "the deep deletion"), "event");
            same("deleted /cache/n b", next(events, "the deletion"), "event");
            same(2, cache.size(), "cached nodes");
        }
    }

    @SuppressWarnings("deprecation")
    private void pathChildrenCache() throws Exception {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        one.create().creatingParentsIfNeeded().forPath("/children/old", bytes("0"));
        try (PathChildrenCache cache = new PathChildrenCache(two, "/children", true)) {
            cache.getListenable().addListener((client, event) -> events.add(
                    event.getType() + " " + (event.getData() == null ? "" : event.getData().getPath())));
            cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
            same(1, cache.getCurrentData().size(), "initial children");
            one.create().forPath("/children/new", bytes("a"));
            same("CHILD_ADDED /children/new", nextChild(events), "event");
            one.setData().forPath("/children/old", bytes("b"));
            same("CHILD_UPDATED /children/old", nextChild(events), "event");
            one.delete().forPath("/children/new");
            same("CHILD_REMOVED /children/new", nextChild(events), "event");
        }
    }

    private static String nextChild(BlockingQueue<String> events) throws InterruptedException {
        String event = next(events, "an event of a child");
        return event.startsWith("CONNECTION_") ? nextChild(events) : event;
    }

    private void persistentWatcher() throws Exception {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        one.create().forPath("/watched");
        PersistentWatcher watcher = new PersistentWatcher(two, "/watched", true);
        watcher.getListenable().addListener(event -> {
            if (event.getType() != Watcher.Event.EventType.None) {
                events.add(event.getType() + " " + event.getPath());
            }
        });
        CountDownLatch set = new CountDownLatch(1);
        watcher.getResetListenable().addListener(set::countDown);
        watcher.start();
        await(set, "the watch");
        one.create().creatingParentsIfNeeded().forPath("/watched/a/b");
        one.setData().forPath("/watched/a/b", bytes("1"));
        one.setData().forPath("/watched", bytes("1"));
        same("NodeCreated /watched/a", next(events, "an event"), "event");
        same("NodeCreated /watched/a/b", next(events, "an event"), "event");
        same("NodeDataChanged /watched/a/b", next(events, "an event"), "event");
        same("NodeDataChanged /watched", next(events, "an event"), "event");
        watcher.close();
    }

    private void barrier() throws Exception {
        DistributedBarrier controlling = new DistributedBarrier(one, "/barrier");
        DistributedBarrier waiting = new DistributedBarrier(two, "/barrier");
        controlling.setBarrier();
        require(!waiting.waitOnBarrier(100, TimeUnit.MILLISECONDS), "the barrier is open");
        Future<Boolean> passed = threads.submit(() -> waiting.waitOnBarrier(WAIT_SECONDS, TimeUnit.SECONDS));
        controlling.removeBarrier();
        require(result(passed), "the barrier did not open");
    }

    private void doubleBarrier() throws Exception {
        List<Future<Boolean>> members = new ArrayList<>();
        AtomicInteger entered = new AtomicInteger();
        for (CuratorFramework client : List.of(one, two, one)) {
            DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(client, "/double", 3);
            members.add(threads.submit(() -> {
                entered.incrementAndGet();
                boolean in = barrier.enter(WAIT_SECONDS, TimeUnit.SECONDS);
                same(3, entered.get(), "members");
                return in && barrier.leave(WAIT_SECONDS, TimeUnit.SECONDS);
            }));
        }
        for (Future<Boolean> member : members) {
            require(result(member), "a member did not enter or leave");
        }
    }

    private void queue() throws Exception {
        SimpleDistributedQueue producer = new SimpleDistributedQueue(one, "/queue");
        SimpleDistributedQueue consumer = new SimpleDistributedQueue(two, "/queue");
        require(consumer.poll() == null, "an item in an empty queue");
        Future<byte[]> waiting = threads.submit(consumer::take);
        producer.offer(bytes("0"));
        same("0", text(result(waiting)), "the awaited item");
        for (int item = 1; item <= 10; item++) {
            producer.offer(bytes(Integer.toString(item)));
        }
        for (int item = 1; item <= 10; item++) {
            byte[] taken = consumer.poll(WAIT_SECONDS, TimeUnit.SECONDS);
            same(Integer.toString(item), text(taken), "an item");
        }
        require(producer.poll() == null, "an item in an emptied queue");
    }

    private void sharedCount() throws Exception {
        BlockingQueue<Integer> counts = new LinkedBlockingQueue<>();
        try (SharedCount first = new SharedCount(one, "/shared", 3);
                SharedCount second = new SharedCount(two, "/shared", 0)) {
            first.start();
            second.start();
            same(3, second.getCount(), "the count");
            second.addListener(new SharedCountListener() {
                @Override
                public void countHasChanged(SharedCountReader reader, int count) {
                    counts.add(count);
                }

                @Override
                public void stateChanged(CuratorFramework client, ConnectionState state) {}
            });
            VersionedValue<Integer> stale = second.getVersionedValue();
            first.setCount(4);
            same(4, next(counts, "the new count"), "the count");
            require(!second.trySetCount(stale, 5), "a stale version was accepted");
            require(second.trySetCount(second.getVersionedValue(), 5), "the right version was refused");
            same("5", Integer.toString(second.getCount()), "the count");
        }
    }

    private void atomicLong() throws Exception {
        int rounds = 20;
        CyclicBarrier together = new CyclicBarrier(2);
        List<Future<Integer>> adders = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two)) {
            DistributedAtomicLong number = new DistributedAtomicLong(client, "/number", new RetryNTimes(100, 1));
            adders.add(threads.submit(() -> {
                together.await(WAIT_SECONDS, TimeUnit.SECONDS);
                int added = 0;
                for (int round = 0; round < rounds; round++) {
                    AtomicValue<Long> value = number.increment();
                    added += value.succeeded() ? 1 : 0;
                }
                return added;
            }));
        }
        long added = 0;
        for (Future<Integer> adder : adders) {
            added += result(adder);
        }
        same(2L * rounds, added, "successful increments");
        AtomicValue<Long> value = new DistributedAtomicLong(one, "/number", retry()).get();
        same(added, value.postValue(), "the number");
    }

    private void groupMember() throws Exception {
        BlockingQueue<String> left = new LinkedBlockingQueue<>();
        try (GroupMember first = new GroupMember(one, "/group", "first", bytes("1"));
                CuratorCache cache = CuratorCache.build(one, "/group")) {
            CountDownLatch joined = new CountDownLatch(2);
            cache.listenable().addListener(CuratorCacheListener.builder()
                    .forCreates(node -> {
                        if (node.getPath().startsWith("/group/")) {
                            joined.countDown();
                        }
                    })
                    .forDeletes(node -> left.add(node.getPath()))
                    .build());
            cache.start();
            first.start();
            GroupMember second = new GroupMember(two, "/group", "second", bytes("2"));
            second.start();
            await(joined, "both members");
            second.close();
            same("/group/second", next(left, "the departure"), "the departed member");
        }
    }

    private void persistentNode() throws Exception {
        BlockingQueue<String> created = new LinkedBlockingQueue<>();
        try (PersistentNode node = new PersistentNode(one, CreateMode.EPHEMERAL, false, "/keep/node", bytes("x"))) {
            node.getListenable().addListener(created::add);
            node.start();
            require(node.waitForInitialCreate(WAIT_SECONDS, TimeUnit.SECONDS), "the node was not created");
            same("/keep/node", next(created, "the creation"), "the node");
            two.delete().forPath("/keep/node");
            same("/keep/node", next(created, "the creation after the deletion"), "the node");
            same("x", text(two.getData().forPath("/keep/node")), "data");
        }
        require(two.checkExists().forPath("/keep/node") == null, "the node outlived its owner");
    }

    /** Another connection takes over a client's session and closes it: its ephemeral nodes come back. */
    private void sessionExpiry() throws Exception {
        BlockingQueue<String> created = new LinkedBlockingQueue<>();
        CountDownLatch lost = new CountDownLatch(1);
        CuratorFramework victim = client();
        victim.getConnectionStateListenable().addListener((client, state) -> {
            if (state == ConnectionState.LOST) {
                lost.countDown();
            }
        });
        try (PersistentNode node = new PersistentNode(victim, CreateMode.EPHEMERAL, false, "/expiry/node", bytes("x"))) {
            node.getListenable().addListener(created::add);
            node.start();
            next(created, "the creation");
            ZooKeeper session = victim.getZookeeperClient().getZooKeeper();
            long before = session.getSessionId();
            same(before, two.checkExists().forPath("/expiry/node").getEphemeralOwner(), "the first owner");
            CountDownLatch connected = new CountDownLatch(1);
            ZooKeeper thief = new ZooKeeper(
                    address,
                    SESSION_MILLIS,
                    (WatchedEvent event) -> connected.countDown(),
                    before,
                    session.getSessionPasswd());
            await(connected, "the second connection of the session");
            thief.close();
            await(lost, "the loss of the session");
            next(created, "the creation by the new session");
            long after = two.checkExists().forPath("/expiry/node").getEphemeralOwner();
            require(after != before && after != 0, "the node is not of a new session");
        } finally {
            victim.close();
        }
    }

    private void persistentTtlNode() throws Exception {
        try (PersistentTtlNode node = new PersistentTtlNode(one, "/ttl", 60_000, bytes("x"))) {
            node.start();
            require(node.waitForInitialCreate(WAIT_SECONDS, TimeUnit.SECONDS), "the node was not created");
            same("x", text(two.getData().forPath("/ttl")), "data");
        }
        String path = one.create().withTtl(60_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/ttl-direct");
        same("/ttl-direct", path, "path");
        String next = one.create()
                .withTtl(60_000)
                .withMode(CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL)
                .forPath("/ttl-sequential-");
        require(next.matches("/ttl-sequential-\\d{10}"), next);
    }

    private void close() throws Exception {
        one.create().withMode(CreateMode.EPHEMERAL).forPath("/last");
        CountDownLatch gone = new CountDownLatch(1);
        two.checkExists()
                .usingWatcher((Watcher) event -> {
                    if (event.getType() == Watcher.Event.EventType.NodeDeleted) {
                        gone.countDown();
                    }
                })
                .forPath("/last");
        one.close();
        await(gone, "the end of the closed session's node");
        two.close();
        threads.shutdownNow();
    }
}
