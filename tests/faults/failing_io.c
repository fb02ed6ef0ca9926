/* Loaded with LD_PRELOAD: makes the n-th write, sync, rename, ... below a folder fail, or records them all.
 *
 * Armed by the environment when the process starts, or by `io_arm` and `io_record` later (io_faults.py calls them):
 *
 *   FAILING_IO_FOLDER   only files below it count
 *   FAILING_IO_CALLS    which calls: w write, s sync, r rename, t truncate, u unlink, o a new file, m a new folder
 *   FAILING_IO_NTH      the first call that fails, counted from 1 over all of those; 0 none
 *   FAILING_IO_TIMES    how many fail, the rest pass; 0 all from there on
 *   FAILING_IO_ERRNO    the number of the error
 *
 * A record holds one entry a call, in the order in which they took effect:
 *
 *   <letter> <bytes of path> <bytes of data> <offset>\n<path><data>\n
 *
 * where the data of a rename are the new path, those of a truncation are empty and its offset is the new length. `s`
 * stands for a synced file or folder, `k` for a mark that the process made itself. Files named `*-shm` are left out:
 * SQLite keeps them in shared memory and makes them anew.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t guard = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char folder[PATH_MAX], calls[16];
static size_t folder_length;
static long nth, times, seen;
static int error_number, record_file = -1;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

void io_arm(const char *below, const char *which, long first, long how_many, int error) {
    pthread_mutex_lock(&guard);
    snprintf(folder, sizeof folder, "%s", below);
    folder_length = strlen(folder);
    snprintf(calls, sizeof calls, "%s", which);
    nth = first, times = how_many, error_number = error, seen = 0;
    pthread_mutex_unlock(&guard);
}

long io_seen(void) { return seen; }

int io_record(const char *below, const char *log) {
    io_arm(below, "", 0, 0, 0);
    record_file = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return record_file < 0 ? -1 : 0;
}

static void entry(char letter, const char *path, const void *data, size_t length, long long offset) {
    char head[96];
    int size = snprintf(head, sizeof head, "%c %zu %zu %lld\n", letter, strlen(path), length, offset);
    struct iovec parts[4] = {{head, (size_t)size}, {(void *)path, strlen(path)}, {(void *)data, length}, {"\n", 1}};
    ssize_t wanted = (ssize_t)(size + strlen(path) + length + 1);
    if (writev(record_file, parts, 4) != wanted) abort(); /* a record with a hole proves nothing */
}

void io_mark(const char *text) {
    pthread_mutex_lock(&guard);
    if (record_file >= 0) entry('k', text, "", 0, 0);
    pthread_mutex_unlock(&guard);
}

__attribute__((constructor)) static void from_environment(void) {
    const char *below = getenv("FAILING_IO_FOLDER"), *which = getenv("FAILING_IO_CALLS");
    const char *first = getenv("FAILING_IO_NTH"), *many = getenv("FAILING_IO_TIMES"), *error = getenv("FAILING_IO_ERRNO");
    if (below && which && first)
        io_arm(below, which, atol(first), many ? atol(many) : 1, error ? atoi(error) : EIO);
}

static int counts(const char *path) {
    size_t length = strlen(path);
    if (!folder_length || strncmp(path, folder, folder_length) || (path[folder_length] && path[folder_length] != '/'))
        return 0;
    return length < 4 || strcmp(path + length - 4, "-shm");
}

static int path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return counts(path);
}

/* Whether this call is one that has to fail. */
static int fails(char letter) {
    if (!strchr(calls, letter)) return 0;
    seen++;
    if (!nth || seen < nth || (times && seen >= nth + times)) return 0;
    errno = error_number;
    return 1;
}

#define GUARDED(result_type, matches, letter, call, note)     \
    do {                                                      \
        if (!folder_length || !(matches)) return call;        \
        pthread_mutex_lock(&guard);                           \
        result_type result = fails(letter) ? -1 : call;       \
        int kept = errno;                                     \
        if (result >= 0 && record_file >= 0) note;            \
        pthread_mutex_unlock(&guard);                         \
        errno = kept;                                         \
        return result;                                        \
    } while (0)

ssize_t write(int file, const void *data, size_t length) {
    char path[PATH_MAX];
    GUARDED(ssize_t, path_of(file, path), 'w', REAL(write)(file, data, length),
            entry('w', path, data, (size_t)result, lseek(file, 0, SEEK_CUR) - result));
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    char path[PATH_MAX];
    GUARDED(ssize_t, path_of(file, path), 'w', REAL(pwrite)(file, data, length, offset),
            entry('w', path, data, (size_t)result, offset));
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    char path[PATH_MAX];
    GUARDED(ssize_t, path_of(file, path), 'w', REAL(pwrite64)(file, data, length, offset),
            entry('w', path, data, (size_t)result, offset));
}

int fsync(int file) {
    char path[PATH_MAX];
    GUARDED(int, path_of(file, path), 's', REAL(fsync)(file), entry('s', path, "", 0, 0));
}

int fdatasync(int file) {
    char path[PATH_MAX];
    GUARDED(int, path_of(file, path), 's', REAL(fdatasync)(file), entry('s', path, "", 0, 0));
}

int ftruncate(int file, off_t length) {
    char path[PATH_MAX];
    GUARDED(int, path_of(file, path), 't', REAL(ftruncate)(file, length), entry('t', path, "", 0, length));
}

int ftruncate64(int file, off64_t length) {
    char path[PATH_MAX];
    GUARDED(int, path_of(file, path), 't', REAL(ftruncate64)(file, length), entry('t', path, "", 0, length));
}

int rename(const char *from, const char *to) {
    GUARDED(int, counts(to), 'r', REAL(rename)(from, to), entry('r', from, to, strlen(to), 0));
}

int unlink(const char *path) {
    GUARDED(int, counts(path), 'u', REAL(unlink)(path), entry('u', path, "", 0, 0));
}

int mkdir(const char *path, mode_t mode) {
    GUARDED(int, counts(path), 'm', REAL(mkdir)(path, mode), entry('m', path, "", 0, 0));
}

int rmdir(const char *path) {
    GUARDED(int, counts(path), 'd', REAL(rmdir)(path), entry('d', path, "", 0, 0));
}

/* A file that did not exist is noted as `o`, one that is emptied as a truncation. */
static int opened(const char *path, int flags, mode_t mode, int (*call)(const char *, int, ...)) {
    struct stat there;
    if (!folder_length || !counts(path) || !(flags & (O_CREAT | O_TRUNC))) return call(path, flags, mode);
    pthread_mutex_lock(&guard);
    int exists = !stat(path, &there);
    int result = !exists && fails('o') ? -1 : call(path, flags, mode);
    int kept = errno;
    if (result >= 0 && record_file >= 0) {
        if (!exists) entry('o', path, "", 0, 0);
        else if (flags & O_TRUNC) entry('t', path, "", 0, 0);
    }
    pthread_mutex_unlock(&guard);
    errno = kept;
    return result;
}

static mode_t mode_in(int flags, va_list more) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; }

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_in(flags, more);
    va_end(more);
    return opened(path, flags, mode, REAL(open));
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_in(flags, more);
    va_end(more);
    return opened(path, flags, mode, REAL(open64));
}
