/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a fuzz target over every file of a corpus folder, with no fuzzer and under any compiler.
 * Each input is handed over in a heap block of exactly its size, so that a sanitizer sees a read
 * beyond its end. An empty corpus is a failure: a replay of nothing proves nothing.
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_stream(FILE *f, const char *path, size_t size)
{
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL) {
        fprintf(stderr, "%s: out of memory\n", path);
        return -1;
    }
    int rc = 0;
    if (fread(data, 1, size, f) != size) {
        fprintf(stderr, "%s: short read\n", path);
        rc = -1;
    } else {
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return rc;
}

/* Returns 1 if the file was replayed, 0 if it is not a regular file, -1 on failure. */
static int replay_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        return 0;
    }
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    const int rc = replay_stream(f, path, (size_t)st.st_size);
    fclose(f);
    return rc == 0 ? 1 : -1;
}

static int replay_dir(const char *dir_path)
{
    DIR *dir = opendir(dir_path);
    if (dir == NULL) {
        fprintf(stderr, "%s: %s\n", dir_path, strerror(errno));
        return -1;
    }
    int n_done = 0;
    int n_failed = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char path[4096];
        const int len = snprintf(path, sizeof(path), "%s/%s", dir_path, entry->d_name);
        if (len < 0 || (size_t)len >= sizeof(path)) {
            n_failed++;
            continue;
        }
        const int rc = replay_file(path);
        n_done += rc > 0 ? 1 : 0;
        n_failed += rc < 0 ? 1 : 0;
    }
    closedir(dir);
    printf("%s: %d inputs replayed\n", dir_path, n_done);
    if (n_done == 0) {
        fprintf(stderr, "%s: the corpus is empty\n", dir_path);
        return -1;
    }
    return n_failed == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS_DIR...\n", argv[0]);
        return 2;
    }
    int status = 0;
    for (int i = 1; i < argc; i++) {
        if (replay_dir(argv[i]) != 0) {
            status = 1;
        }
    }
    return status;
}
