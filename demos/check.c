/* SPDX-License-Identifier: MIT
 *
 * check EXPECT PROGRAM [ARG...]: runs a demo and compares what it prints (standard output and standard error
 * together), how it exits and how long it takes with the file EXPECT. Says what differs and exits with 1; exits with 2
 * when it cannot tell (usage, a mistake in EXPECT). A line of EXPECT is a mark, a blank and a text:
 *
 *     = text          the next line of output is exactly this
 *     ~ text          the next line is this, where {100..150} stands for a number n, 100 <= n < 150 ({100..} has no
 *                     upper bound, and "prev" for a bound is the number before it in the output); {*} for anything
 *     ? text          as ~, but a run of such lines (an empty line or a remark ends it) matches as many lines of output
 *                     in any order
 *     ! text          no line of output contains this
 *     @ INT 50 text   when exactly this line is printed, waits 50 ms and sends SIGINT (or TERM, ...); sets no line
 *     x 3             it exits with status 3 (0 when not said)
 *     t 100..150      it runs for so many milliseconds, from start to end
 *     # text          a remark; empty lines say nothing either
 *
 * Every line of output must be accounted for. A number above its range is reported as late: nothing may be early, but
 * late may be the machine's fault.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 30000, MAX_LINES = 500 };

typedef enum { NO, LATE, YES } verdict;

struct want {
    char mark;
    const char *text;
    int line;             /* in the file */
    long lo, hi;          /* t: the range; x: lo is the status */
    int signal, delay_ms; /* @ */
    bool apart;           /* an empty line or a remark stands before it */
    bool used;            /* in this try: a ? that was matched, a @ that was sent */
};

static const char *file;
static struct want wants[MAX_LINES];
static int nwants;
static char *lines[MAX_LINES]; /* what the demo printed */
static int nlines;
static long prev; /* the last number matched, for {prev..} */

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("check: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(2);
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

/* Reads "lo..hi" and returns what follows it, or NULL when it is no range. A bound may be "prev", hi may be absent. */
static const char *range(const char *s, long *lo, long *hi) {
    long *bounds[] = { lo, hi };
    for (int i = 0; i < 2; i++) {
        if (strncmp(s, "prev", 4) == 0) {
            *bounds[i] = prev;
            s += 4;
        } else if (*s >= '0' && *s <= '9') {
            char *end;
            *bounds[i] = strtol(s, &end, 10);
            s = end;
        } else if (i == 1) {
            *hi = LONG_MAX;
        } else {
            return NULL;
        }
        if (i == 0 && strncmp(s, "..", 2) != 0) return NULL;
        if (i == 0) s += 2;
    }
    return s;
}

/* Compares a line of output with a pattern. */
static verdict match(const char *pattern, const char *s) {
    verdict so_far = YES;
    for (; *pattern; pattern++, s++) {
        if (strncmp(pattern, "{*}", 3) == 0) {
            for (;; s++) {
                verdict rest = match(pattern + 3, s);
                if (rest != NO) return rest < so_far ? rest : so_far;
                if (!*s) return NO;
            }
        }
        if (*pattern != '{') {
            if (*pattern != *s) return NO;
            continue;
        }
        long lo = 0, hi = 0;
        pattern = range(pattern + 1, &lo, &hi); /* it is one: the file was checked when it was read */
        if (!pattern || *s < '0' || *s > '9') return NO;
        char *end;
        prev = strtol(s, &end, 10);
        if (prev < lo) return NO;
        if (prev >= hi) so_far = LATE;
        s = end - 1;
    }
    return *s ? NO : so_far;
}

static void check_pattern(const struct want *w) {
    for (const char *p = w->text; (p = strchr(p, '{')); p++) {
        long lo, hi;
        if (strncmp(p, "{*}", 3) == 0) continue;
        const char *end = range(p + 1, &lo, &hi);
        if (!end || *end != '}') die("%s:%d: not a range: %s", file, w->line, p);
    }
}

static int signal_number(const char *name) {
    static const struct {
        const char *name;
        int number;
    } known[] = {
        { "INT", SIGINT }, { "TERM", SIGTERM }, { "HUP", SIGHUP }, { "QUIT", SIGQUIT }, { "USR1", SIGUSR1 },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0) return known[i].number;
    return 0;
}

static void parse(struct want *w) {
    char name[8], junk;
    int at = 0;
    const char *end;
    switch (w->mark) {
    case '=':
    case '!':
        return;
    case '~':
    case '?':
        check_pattern(w);
        return;
    case '@':
        if (sscanf(w->text, "%7s %d %n", name, &w->delay_ms, &at) != 2 || !w->text[at] || w->delay_ms < 0 ||
            !(w->signal = signal_number(name)))
            die("%s:%d: not a signal, a number and a line: %s", file, w->line, w->text);
        w->text += at;
        return;
    case 'x':
        if (sscanf(w->text, "%ld %c", &w->lo, &junk) != 1) die("%s:%d: not a status: %s", file, w->line, w->text);
        return;
    case 't':
        end = range(w->text, &w->lo, &w->hi);
        if (!end || *end) die("%s:%d: not a range: %s", file, w->line, w->text);
        return;
    default:
        die("%s:%d: unknown mark: %c %s", file, w->line, w->mark, w->text);
    }
}

static void read_expectations(void) {
    FILE *f = fopen(file, "r");
    if (!f) die("%s: %s", file, strerror(errno));
    char *line = NULL;
    size_t size = 0;
    bool apart = true;
    for (int n = 1; getline(&line, &size, f) >= 0; n++) {
        line[strcspn(line, "\n")] = 0;
        if (!line[0] || line[0] == '#') {
            apart = true;
            continue;
        }
        if (line[1] && line[1] != ' ') die("%s:%d: no blank after the mark: %s", file, n, line);
        if (nwants == MAX_LINES) die("%s: more than %d lines", file, MAX_LINES);
        struct want *w = &wants[nwants++];
        *w = (struct want){ .mark = line[0], .line = n, .text = strdup(line[1] ? line + 2 : ""), .apart = apart };
        apart = false;
        if (!w->text) die("out of memory");
        parse(w);
    }
    free(line);
    fclose(f);
    if (!nwants) die("%s: empty", file);
}

/* Sends the signals that a line asks for. */
static void send_signals(const char *line, pid_t pid) {
    for (int i = 0; i < nwants; i++) {
        struct want *w = &wants[i];
        if (w->mark != '@' || w->used || strcmp(w->text, line) != 0) continue;
        w->used = true;
        struct timespec delay = { w->delay_ms / 1000, w->delay_ms % 1000 * 1000000L };
        nanosleep(&delay, NULL);
        kill(pid, w->signal);
    }
}

static void add_line(const char *text, size_t length, pid_t pid) {
    if (nlines == MAX_LINES) {
        kill(-pid, SIGKILL);
        die("more than %d lines of output", MAX_LINES);
    }
    lines[nlines] = strndup(text, length);
    if (!lines[nlines]) die("out of memory");
    send_signals(lines[nlines++], pid);
}

/* Runs the program, collects its lines; returns its wait status. */
static int run(char **argv, int limit_ms, long *took_ms) {
    int out[2];
    if (pipe(out) < 0) die("pipe: %s", strerror(errno));
    long start = now_ms();
    pid_t pid = fork();
    if (pid < 0) die("fork: %s", strerror(errno));
    if (pid == 0) {
        setpgid(0, 0);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        close(out[0]);
        close(out[1]);
        execvp(argv[0], argv);
        fprintf(stderr, "check: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    setpgid(pid, pid);
    close(out[1]);

    char buffer[4096];
    size_t used = 0;
    for (;;) {
        struct pollfd p = { .fd = out[0], .events = POLLIN };
        long left = start + limit_ms - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) == 0) {
            kill(-pid, SIGKILL);
            waitpid(pid, NULL, 0);
            for (int i = 0; i < nlines; i++) printf("  | %s\n", lines[i]);
            printf("FAILED: still running after %d ms\n", limit_ms);
            exit(1);
        }
        ssize_t n = read(out[0], buffer + used, sizeof buffer - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        used += (size_t)n;
        char *begin = buffer, *newline;
        while ((newline = memchr(begin, '\n', used - (size_t)(begin - buffer)))) {
            add_line(begin, (size_t)(newline - begin), pid);
            begin = newline + 1;
        }
        used -= (size_t)(begin - buffer);
        memmove(buffer, begin, used);
        if (used == sizeof buffer) { /* an endless line is cut */
            add_line(buffer, used, pid);
            used = 0;
        }
    }
    if (used) add_line(buffer, used, pid);
    close(out[0]);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    *took_ms = now_ms() - start;
    return status;
}

/* Says what is wrong with the output. */
static verdict complain(verdict v, const struct want *w, const char *line) {
    printf("%s: %s:%d: expected %c %s\n", v == LATE ? "late" : "FAILED", file, w->line, w->mark, w->text);
    printf("%*s got %s\n", v == LATE ? 4 : 6, "", line ? line : "no more lines");
    return v;
}

/* Finds the best of the run of ? lines from first on for a line of output. */
static verdict match_any(int first, const char *line, struct want **found) {
    verdict best = NO;
    for (int i = first; i < nwants && wants[i].mark == '?' && (i == first || !wants[i].apart); i++) {
        if (wants[i].used) continue;
        long saved = prev;
        verdict v = match(wants[i].text, line);
        if (v > best) {
            best = v;
            *found = &wants[i];
        } else {
            prev = saved;
        }
    }
    return best;
}

static verdict compare_lines(void) {
    verdict worst = YES;
    int line = 0, block = -1; /* block: where the run of ? lines began that w is in */
    for (int i = 0; i < nwants; i++) {
        struct want *w = &wants[i], *found = w;
        if (w->mark != '?') block = -1;
        if (w->mark != '?' && w->mark != '=' && w->mark != '~') continue;
        if (line == nlines) return complain(NO, w, NULL);
        const char *text = lines[line++];
        verdict v;
        if (w->mark == '?') {
            if (block < 0 || w->apart) block = i;
            v = match_any(block, text, &found);
            found->used = true;
        } else {
            v = w->mark == '=' ? (strcmp(w->text, text) == 0 ? YES : NO) : match(w->text, text);
        }
        if (v != YES) complain(v, found, text);
        if (v == NO) return NO;
        if (v < worst) worst = v;
    }
    if (line == nlines) return worst;
    printf("FAILED: %s: not expected: %s\n", file, lines[line]);
    return NO;
}

static verdict compare(int status, long took_ms) {
    verdict worst = compare_lines();
    long exit_status = 0;
    for (int i = 0; i < nwants; i++) {
        const struct want *w = &wants[i];
        if (w->mark == 'x') exit_status = w->lo;
        for (int k = 0; w->mark == '!' && k < nlines; k++)
            if (strstr(lines[k], w->text)) worst = complain(NO, w, lines[k]);
        if (w->mark == '@' && !w->used) worst = complain(NO, w, "no such line");
        if (w->mark != 't' || (took_ms >= w->lo && took_ms < w->hi)) continue;
        verdict v = took_ms < w->lo ? NO : LATE;
        printf("%s: %s:%d: it took %ld ms, not %s\n", v == LATE ? "late" : "FAILED", file, w->line, took_ms, w->text);
        if (v < worst) worst = v;
    }
    if (WIFSIGNALED(status)) {
        printf("FAILED: killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        worst = NO;
    } else if (WEXITSTATUS(status) != exit_status) {
        printf("FAILED: exit status %d, expected %ld\n", WEXITSTATUS(status), exit_status);
        worst = NO;
    }
    return worst;
}

int main(int argc, char **argv) {
    int limit_ms = LIMIT_MS, opt;
    while ((opt = getopt(argc, argv, "+l:")) == 'l') limit_ms = atoi(optarg); /* for its own tests */
    if (opt != -1 || argc - optind < 2 || limit_ms <= 0) die("usage: check [-l LIMIT_MS] EXPECT PROGRAM [ARG...]");
    file = argv[optind];
    read_expectations();

    long took_ms;
    int status = run(argv + optind + 1, limit_ms, &took_ms);
    for (int i = 0; i < nlines; i++) printf("  | %s\n", lines[i]);
    fflush(stdout);
    return compare(status, took_ms) == YES ? 0 : 1;
}
