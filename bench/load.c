/*
 * Load generator of the benchmark: speaks just enough of the ZooKeeper client protocol to keep a
 * server busy at a small cost of its own.
 *
 *   load run   PORTS DEPTH WARMUP MEASURE JOBS PIDS  one request stream per record of the file JOBS
 *   load watch PORT CONNECTIONS ROUNDS JOBS PIDS     fire one watch held by every connection
 *   load echo  PORT                                  answer every frame at once: the generator's ceiling
 *
 * PORTS is a comma-separated list; connection i goes to the (i % count)th.
 * JOBS is written by bench/load.py: a u32 record count, then per record i64 number of requests to send (-1: until
 * time is up), u32 modulus and u32 start of the counter (request n carries (n + start) % modulus; modulus 0: n), u32
 * `every`, the request, and with `every` another request, which is sent in place of the last of each `every`. A
 * request is u32 length, i32 offset of a ten-digit decimal counter (-1: none), u32 length of the reply frame (0: any),
 * and the frame, length prefix included. The generator patches xid and counter into a copy of the frame, and expects
 * the reply in order, without error and of that length. PIDS is a comma-separated list of the server's processes,
 * whose CPU time is read at both ends of the interval.
 * All integers of the file and of the wire are big-endian. The result is one JSON object on stdout.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES 20            /* length prefix and ReplyHeader */
#define CONNECT_REQUEST_BYTES 49
#define CONNECT_RESPONSE_BYTES 41
#define SESSION_TIMEOUT_MS 300000
#define CONNECT_WINDOW 32          /* handshakes in flight; stays below Java's listen backlog of 50 */
#define STALL_S 120
#define READ_BYTES 65536
#define HISTOGRAM_SLOTS (60 * 64)
#define MAX_PIDS 64
#define MAX_PORTS 16

struct request {
    uint32_t len;
    int32_t counter_at;
    uint32_t reply_len;
    uint8_t *frame;
};

struct job {
    int64_t limit;
    uint32_t modulus, start, every;
    struct request usual, other;
};

struct conn {
    int fd;
    int waiting_for_out;
    const struct job *job;
    int64_t sent, done;
    uint64_t *stamps;              /* send time of request n at n % depth */
    uint8_t *in;
    uint32_t in_len;
    uint8_t *out;
    uint32_t out_at, out_len;
};

struct cpu_mark {
    uint64_t at;
    double generator, server, machine;
};

static uint64_t histogram[HISTOGRAM_SLOTS];
static uint64_t replies, errors, max_ns;
static int first_error;
static pid_t pids[MAX_PIDS];
static int pid_count;
static int ports[MAX_PORTS], port_count;

static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static void *need(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t get32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static void put_digits(uint8_t *p, int64_t v) {
    for (int i = 9; i >= 0; i--, v /= 10) p[i] = (uint8_t)('0' + v % 10);
}

/* 64 slots per power of two: a percentile is off by less than one per cent. */
static void record(uint64_t ns) {
    unsigned slot = (unsigned)ns;
    if (ns >= 64) {
        int shift = 57 - __builtin_clzll(ns);
        slot = (unsigned)(shift + 1) * 64 + (unsigned)((ns >> shift) - 64);
    }
    histogram[slot]++;
    if (ns > max_ns) max_ns = ns;
}

static double percentile_us(double share) {
    uint64_t wanted = (uint64_t)((double)replies * share), seen = 0;
    for (unsigned slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += histogram[slot];
        if (seen > wanted) {
            if (slot < 64) return slot / 1000.0;
            unsigned shift = slot / 64 - 1;
            return ((double)(64 + slot % 64) + 0.5) * (double)(1ull << shift) / 1000.0;
        }
    }
    return (double)max_ns / 1000.0;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/* Busy time of all cores, whoever used them: what is neither ours nor the server's was a disturbance. */
static double machine_seconds(void) {
    unsigned long long v[8] = {0};
    FILE *f = fopen("/proc/stat", "r");
    if (!f) return 0;
    int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
    fclose(f);
    if (n < 8) return 0;
    return (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK);
}

static struct cpu_mark mark(void) {
    struct cpu_mark m = {.at = now_ns()};
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    m.generator = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    for (int i = 0; i < pid_count; i++) {
        clockid_t clock;
        struct timespec t;
        if (!clock_getcpuclockid(pids[i], &clock) && !clock_gettime(clock, &t))
            m.server += (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    }
    m.machine = machine_seconds();
    return m;
}

static void print_cpu(struct cpu_mark a, struct cpu_mark b) {
    double generator = b.generator - a.generator, server = b.server - a.server;
    double other = b.machine - a.machine - generator - server;
    printf("\"seconds\": %.6f, \"generator_cpu_s\": %.4f, \"server_cpu_s\": %.4f, \"other_cpu_s\": %.3f",
           (double)(b.at - a.at) / 1e9, generator, server, other > 0 ? other : 0.0);
}

static void parse_pids(char *list) {
    for (char *item = strtok(list, ","); item && pid_count < MAX_PIDS; item = strtok(NULL, ","))
        pids[pid_count++] = (pid_t)atoi(item);
}

static void parse_ports(char *list) {
    for (char *item = strtok(list, ","); item && port_count < MAX_PORTS; item = strtok(NULL, ","))
        ports[port_count++] = atoi(item);
    if (!port_count) die("no port");
}

static void read_request(FILE *f, struct request *request) {
    uint8_t head[12];
    if (fread(head, sizeof head, 1, f) != 1) die("the jobs are cut short");
    request->len = get32(head);
    request->counter_at = (int32_t)get32(head + 4);
    request->reply_len = get32(head + 8);
    request->frame = need(malloc(request->len));
    if (fread(request->frame, request->len, 1, f) != 1) die("the jobs are cut short");
}

static struct job *read_jobs(const char *path, uint32_t *count) {
    uint8_t head[20];
    FILE *f = fopen(path, "rb");
    if (!f || fread(head, 4, 1, f) != 1) die("cannot read %s", path);
    *count = get32(head);
    struct job *jobs = need(calloc(*count, sizeof *jobs));
    for (uint32_t i = 0; i < *count; i++) {
        if (fread(head, sizeof head, 1, f) != 1) die("%s is cut short", path);
        jobs[i].limit = (int64_t)((uint64_t)get32(head) << 32 | get32(head + 4));
        jobs[i].modulus = get32(head + 8);
        jobs[i].start = get32(head + 12);
        jobs[i].every = get32(head + 16);
        read_request(f, &jobs[i].usual);
        if (jobs[i].every) read_request(f, &jobs[i].other);
    }
    fclose(f);
    return jobs;
}

/* The nth request of a job. */
static const struct request *nth(const struct job *job, int64_t n) {
    return job->every && n % job->every == job->every - 1 ? &job->other : &job->usual;
}

/* ---- sockets ------------------------------------------------------------------------------------------- */

static void read_exactly(int fd, uint8_t *to, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t n = recv(fd, to + at, size - at, 0);
        if (n == 0) die("the server closed a connection");
        if (n < 0) die("recv: %s", strerror(errno));
        at += (size_t)n;
    }
}

static int start_handshake(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = STALL_S};
    uint8_t request[CONNECT_REQUEST_BYTES] = {0};
    if (fd < 0) die("socket: %s", strerror(errno));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    put32(request, CONNECT_REQUEST_BYTES - 4);
    put32(request + 16, SESSION_TIMEOUT_MS);
    put32(request + 28, 16);
    if (send(fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request) die("send: %s", strerror(errno));
    return fd;
}

static void finish_handshake(int fd) {
    uint8_t response[CONNECT_RESPONSE_BYTES];
    read_exactly(fd, response, sizeof response);
    if (get32(response) != CONNECT_RESPONSE_BYTES - 4 || (int32_t)get32(response + 8) <= 0) die("session refused");
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void open_sessions(int *fds, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = start_handshake(ports[i % (uint32_t)port_count]);
        if (i >= CONNECT_WINDOW) finish_handshake(fds[i - CONNECT_WINDOW]);
    }
    for (uint32_t i = count > CONNECT_WINDOW ? count - CONNECT_WINDOW : 0; i < count; i++) finish_handshake(fds[i]);
}

static void close_sessions(struct conn *conns, uint32_t count) {
    uint8_t request[12];
    put32(request, 8), put32(request + 4, 0x7fffffff), put32(request + 8, (uint32_t)-11);
    for (uint32_t i = 0; i < count; i++) {
        fcntl(conns[i].fd, F_SETFL, fcntl(conns[i].fd, F_GETFL) & ~O_NONBLOCK);
        if (send(conns[i].fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request) die("closeSession failed");
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t reply[HEADER_BYTES];
        read_exactly(conns[i].fd, reply, sizeof reply);
        close(conns[i].fd);
    }
}

/* ---- load run ------------------------------------------------------------------------------------------ */

static void watch_events(int epoll, struct conn *c, int want_out) {
    struct epoll_event event = {.events = EPOLLIN | (want_out ? EPOLLOUT : 0), .data.ptr = c};
    c->waiting_for_out = want_out;
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void flush(int epoll, struct conn *c) {
    while (c->out_at < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) die("send: %s", strerror(errno));
            if (!c->waiting_for_out) watch_events(epoll, c, 1);
            return;
        }
        c->out_at += (uint32_t)n;
    }
    c->out_at = c->out_len = 0;
    if (c->waiting_for_out) watch_events(epoll, c, 0);
}

/* Tops the connection up to `depth` unanswered requests. Unsent bytes belong to unanswered requests, so that
   `out` never holds more than `depth` frames. */
static void fill(int epoll, struct conn *c, int depth, uint64_t now) {
    const struct job *job = c->job;
    if (c->out_at) {
        memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
        c->out_len -= c->out_at;
        c->out_at = 0;
    }
    while (c->sent - c->done < depth && (job->limit < 0 || c->sent < job->limit)) {
        const struct request *request = nth(job, c->sent);
        uint8_t *frame = c->out + c->out_len;
        memcpy(frame, request->frame, request->len);
        put32(frame + 4, (uint32_t)((c->sent + 1) & 0x7fffffff));
        if (request->counter_at >= 0)
            put_digits(frame + request->counter_at, job->modulus ? (c->sent + job->start) % job->modulus : c->sent);
        c->stamps[c->sent % depth] = now;
        c->sent++;
        c->out_len += request->len;
    }
    flush(epoll, c);
}

/* Takes every whole reply that has arrived; returns how many. */
static int take_replies(struct conn *c, int depth, uint64_t *now) {
    int taken = 0;
    uint32_t at = 0;
    ssize_t n = recv(c->fd, c->in + c->in_len, READ_BYTES - c->in_len, 0);
    *now = now_ns();
    if (n == 0) die("the server closed a connection");
    if (n < 0) {
        if (errno == EAGAIN) return 0;
        die("recv: %s", strerror(errno));
    }
    c->in_len += (uint32_t)n;
    while (c->in_len - at >= HEADER_BYTES) {
        const uint8_t *frame = c->in + at;
        uint32_t size = get32(frame) + 4;
        if (size > READ_BYTES) die("reply of %u bytes", size);
        if (c->in_len - at < size) break;
        if (get32(frame + 4) != (uint32_t)((c->done + 1) & 0x7fffffff)) die("reply out of order");
        if (get32(frame + 16)) {
            if (!errors++) first_error = (int)get32(frame + 16);
        } else if (nth(c->job, c->done)->reply_len && size != nth(c->job, c->done)->reply_len) {
            die("reply of %u bytes instead of %u", size, nth(c->job, c->done)->reply_len);
        }
        record(*now - c->stamps[c->done % depth]);
        c->done++;
        taken++;
        at += size;
    }
    if (at) {
        memmove(c->in, c->in + at, c->in_len - at);
        c->in_len -= at;
    }
    replies += (uint64_t)taken;
    return taken;
}

static int run(int depth, double warmup_s, double measure_s, const char *path) {
    uint32_t count;
    struct job *jobs = read_jobs(path, &count);
    struct conn *conns = need(calloc(count, sizeof *conns));
    int *fds = need(calloc(count, sizeof *fds)), epoll = epoll_create1(0), timed = 0;
    open_sessions(fds, count);
    uint64_t now = now_ns(), progress = now;
    uint64_t begin_at = now + (uint64_t)(warmup_s * 1e9), end_at = begin_at + (uint64_t)(measure_s * 1e9);
    for (uint32_t i = 0; i < count; i++) {
        struct conn *c = conns + i;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->fd = fds[i];
        c->job = jobs + i;
        c->stamps = need(calloc((size_t)depth, sizeof *c->stamps));
        c->in = need(malloc(READ_BYTES));
        c->out = need(malloc((size_t)depth * (jobs[i].usual.len > jobs[i].other.len ? jobs[i].usual.len : jobs[i].other.len)));
        timed |= jobs[i].limit < 0;
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    }
    enum { WARMING, MEASURING, DRAINING } phase = WARMING;
    struct cpu_mark begin = mark(), end = begin;
    uint64_t measured = 0, bad = 0;
    double p50 = 0, p99 = 0, worst = 0;
    for (uint32_t i = 0; i < count; i++) fill(epoll, conns + i, depth, now_ns());
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, 100);
        now = now_ns();
        if (phase == WARMING && timed && now >= begin_at) {
            memset(histogram, 0, sizeof histogram);
            replies = max_ns = 0;
            begin = mark();
            end_at = begin.at + (uint64_t)(measure_s * 1e9);
            phase = MEASURING;
        } else if (phase == MEASURING && now >= end_at) {
            end = mark();
            measured = replies, p50 = percentile_us(0.5), p99 = percentile_us(0.99), worst = (double)max_ns / 1000.0;
            phase = DRAINING;
        }
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush(epoll, c);
            if ((events[i].events & ~(uint32_t)EPOLLOUT) && take_replies(c, depth, &now)) {
                progress = now;
                if (phase != DRAINING) fill(epoll, c, depth, now);
            }
        }
        if (now - progress > STALL_S * 1000000000ull) die("no reply for %d s", STALL_S);
        if (!timed || phase == DRAINING) {
            int64_t left = 0;
            for (uint32_t i = 0; i < count; i++)
                left += (phase == DRAINING ? conns[i].sent : conns[i].job->limit) - conns[i].done;
            if (!left) break;
        }
    }
    if (!timed) {
        end = mark();
        measured = replies, p50 = percentile_us(0.5), p99 = percentile_us(0.99), worst = (double)max_ns / 1000.0;
    }
    bad = errors;
    close_sessions(conns, count);
    printf("{\"replies\": %llu, \"errors\": %llu, \"first_error\": %d, ", (unsigned long long)measured,
           (unsigned long long)bad, first_error);
    printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.1f, ", p50, p99, worst);
    print_cpu(begin, end);
    printf(", \"totals\": [");
    for (uint32_t i = 0; i < count; i++) printf("%s%lld", i ? ", " : "", (long long)conns[i].done);
    printf("]}\n");
    return 0;
}

/* ---- load watch ---------------------------------------------------------------------------------------- */

#define WATCH_BUFFER 1024

/* Reads what `c` has and counts its frames: notifications (xid -1) apart from replies. */
static void count_frames(struct conn *c, uint64_t *notified, uint64_t *answered) {
    ssize_t n = recv(c->fd, c->in + c->in_len, WATCH_BUFFER - c->in_len, 0);
    if (n == 0) die("the server closed a connection");
    if (n < 0) {
        if (errno == EAGAIN) return;
        die("recv: %s", strerror(errno));
    }
    c->in_len += (uint32_t)n;
    uint32_t at = 0;
    while (c->in_len - at >= HEADER_BYTES) {
        const uint8_t *frame = c->in + at;
        uint32_t size = get32(frame) + 4;
        if (size > WATCH_BUFFER) die("frame of %u bytes", size);
        if (c->in_len - at < size) break;
        if (get32(frame + 16)) die("error %d", (int)get32(frame + 16));
        if ((int32_t)get32(frame + 4) == -1) {
            if (get32(frame + 20) != 3) die("event of type %u", get32(frame + 20));
            if (c->done++) die("two events on one connection");
            ++*notified;
        } else {
            ++*answered;
        }
        at += size;
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
}

static void wait_frames(int epoll, uint64_t *notified, uint64_t *answered, uint64_t want_notified, uint64_t want_answered) {
    struct epoll_event events[1024];
    uint64_t begin = now_ns();
    while (*notified < want_notified || *answered < want_answered) {
        int n = epoll_wait(epoll, events, 1024, 1000);
        for (int i = 0; i < n; i++) count_frames(events[i].data.ptr, notified, answered);
        if (now_ns() - begin > STALL_S * 1000000000ull)
            die("%llu events and %llu replies after %d s", (unsigned long long)*notified, (unsigned long long)*answered, STALL_S);
    }
}

static int watch(uint32_t count, int rounds, const char *path) {
    uint32_t job_count;
    struct job *jobs = read_jobs(path, &job_count);
    struct conn *conns = need(calloc(count + 1, sizeof *conns));
    int *fds = need(calloc(count + 1, sizeof *fds)), epoll = epoll_create1(0);
    uint64_t begin = now_ns();
    open_sessions(fds, count + 1);
    double open_s = (double)(now_ns() - begin) / 1e9;
    for (uint32_t i = 0; i <= count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conns + i};
        conns[i].fd = fds[i];
        conns[i].in = need(malloc(WATCH_BUFFER));
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    }
    printf("{\"connections\": %u, \"open_s\": %.4f, \"rounds\": [", count, open_s);
    for (int round = 0; round < rounds; round++) {
        uint64_t notified = 0, answered = 0;
        for (uint32_t i = 0; i <= count; i++) {
            const struct request *request = &jobs[i == count].usual;
            conns[i].done = 0;
            put32(request->frame + 4, (uint32_t)round + 1);
            if (i < count && send(fds[i], request->frame, request->len, MSG_NOSIGNAL) != (ssize_t)request->len) die("send failed");
        }
        wait_frames(epoll, &notified, &answered, 0, count);
        usleep(300000);
        struct cpu_mark a = mark();
        if (send(fds[count], jobs[1].usual.frame, jobs[1].usual.len, MSG_NOSIGNAL) != (ssize_t)jobs[1].usual.len) die("send failed");
        wait_frames(epoll, &notified, &answered, count, count);
        struct cpu_mark b = mark();
        wait_frames(epoll, &notified, &answered, count, count + 1);
        printf("%s{", round ? ", " : "");
        print_cpu(a, b);
        printf("}");
    }
    printf("]}\n");
    return 0;
}

/* ---- load echo ----------------------------------------------------------------------------------------- */

static void echo(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) die("cannot listen");
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) {
                c = need(calloc(1, sizeof *c));
                c->fd = accept(listener, NULL, NULL);
                c->in = need(malloc(READ_BYTES));
                c->out = need(malloc(READ_BYTES));
                setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.ptr = c;
                epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
                continue;
            }
            ssize_t got = recv(c->fd, c->in + c->in_len, READ_BYTES - c->in_len, 0);
            if (got <= 0) {
                close(c->fd);
                free(c->in), free(c->out), free(c);
                continue;
            }
            c->in_len += (uint32_t)got;
            uint32_t at = 0, out = 0;
            while (c->in_len - at >= 4 && c->in_len - at >= get32(c->in + at) + 4) {
                uint32_t reply = c->done++ ? HEADER_BYTES : CONNECT_RESPONSE_BYTES;
                memset(c->out + out, 0, reply);
                put32(c->out + out, reply - 4);
                if (reply == HEADER_BYTES) memcpy(c->out + out + 4, c->in + at + 4, 4);
                else put32(c->out + out + 8, SESSION_TIMEOUT_MS), put32(c->out + out + 20, 16);
                at += get32(c->in + at) + 4;
                out += reply;
            }
            memmove(c->in, c->in + at, c->in_len - at);
            c->in_len -= at;
            if (out && send(c->fd, c->out, out, MSG_NOSIGNAL) != (ssize_t)out) die("echo: send");
        }
    }
}

int main(int argc, char **argv) {
    if (argc == 8 && !strcmp(argv[1], "run")) {
        parse_ports(argv[2]);
        parse_pids(argv[7]);
        return run(atoi(argv[3]), atof(argv[4]), atof(argv[5]), argv[6]);
    }
    if (argc == 7 && !strcmp(argv[1], "watch")) {
        parse_ports(argv[2]);
        parse_pids(argv[6]);
        return watch((uint32_t)atoi(argv[3]), atoi(argv[4]), argv[5]);
    }
    if (argc == 3 && !strcmp(argv[1], "echo")) echo(atoi(argv[2]));
    die("unknown arguments");
    return 2;
}
