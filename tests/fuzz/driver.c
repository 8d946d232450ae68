/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver: runs a fuzz target without libFuzzer, the same way each time: every file of the corpus,
 * then seeded mutations of them. A crash prints the seed that made it; `driver FILE` runs one
 * input. With clang the same targets link to libFuzzer (-Dfuzzer) and search on.
 *
 *   fuzz_NAME CORPUS_DIR [ROUNDS]    fuzz_NAME FILE
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX (1u << 16)
#define FILES_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t *data;
	size_t size;
	char name[256];
};

static struct input inputs[FILES_MAX];
static size_t input_count;
static char at[512]; /* what is being run, for the handler */

static void crashed(int sig)
{
	ssize_t n = write(STDERR_FILENO, at, strlen(at));

	(void)n;
	signal(sig, SIG_DFL);
	raise(sig);
}

static bool load(const char *path, const char *name)
{
	struct input *in = &inputs[input_count];
	FILE *f = fopen(path, "rb");

	if (!f || input_count == FILES_MAX)
		return false;
	in->data = malloc(INPUT_MAX);
	in->size = fread(in->data, 1, INPUT_MAX, f);
	snprintf(in->name, sizeof(in->name), "%s", name);
	fclose(f);
	input_count++;
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static void load_all(const char *dir)
{
	DIR *d = opendir(dir);
	char path[1024];

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		load(path, e->d_name);
	}
	closedir(d);
	qsort(inputs, input_count, sizeof(inputs[0]), by_name);
}

static uint64_t next_random(uint64_t *s) /* splitmix64 */
{
	uint64_t z = *s += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A few changes: bytes, bits, numbers at their edges, cut, doubled, spliced with another input. */
static size_t mutate(uint8_t *buf, size_t size, uint64_t *s)
{
	static const uint64_t edges[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0xffffffff, UINT64_MAX
	};
	uint64_t changes = 1 + next_random(s) % 6;

	while (changes-- > 0) {
		size_t i = size ? next_random(s) % size : 0;

		switch (next_random(s) % 7) {
		case 0:
			if (size)
				buf[i] = (uint8_t)next_random(s);
			break;
		case 1:
			if (size)
				buf[i] ^= (uint8_t)(1u << next_random(s) % 8);
			break;
		case 2:
			if (size >= i + 8)
				memcpy(buf + i, &edges[next_random(s) % 8], 8);
			break;
		case 3:
			size = i;
			break;
		case 4:
			if (size * 2 <= INPUT_MAX) {
				memcpy(buf + size, buf, size);
				size *= 2;
			}
			break;
		case 5:
			if (size > i + 1) {
				memmove(buf + i, buf + i + 1, size - i - 1);
				size--;
			}
			break;
		default: {
			const struct input *other = &inputs[next_random(s) % input_count];
			size_t take = other->size ? next_random(s) % other->size : 0;

			if (i + take <= INPUT_MAX) {
				memcpy(buf + i, other->data, take);
				size = i + take > size ? i + take : size;
			}
		}
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	long rounds = argc > 2 ? atol(argv[2]) : 20000;
	uint8_t *buf = malloc(INPUT_MAX);
	struct stat st;

	if (argc < 2 || stat(argv[1], &st) < 0 || !buf) {
		fprintf(stderr, "usage: %s CORPUS_DIR [ROUNDS] | FILE\n", argv[0]);
		return 2;
	}
	signal(SIGABRT, crashed);
	signal(SIGSEGV, crashed);
	if (S_ISDIR(st.st_mode))
		load_all(argv[1]);
	else
		load(argv[1], argv[1]);
	if (input_count == 0) {
		fprintf(stderr, "%s: no input in %s\n", argv[0], argv[1]);
		return 1;
	}
	for (size_t i = 0; i < input_count; i++) {
		snprintf(at, sizeof(at), "input %s\n", inputs[i].name);
		LLVMFuzzerTestOneInput(inputs[i].data, inputs[i].size);
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	for (long round = 0; round < rounds; round++) {
		uint64_t seed = (uint64_t)round;
		const struct input *in = &inputs[next_random(&seed) % input_count];

		snprintf(at, sizeof(at), "round %ld, from input %s\n", round, in->name);
		memcpy(buf, in->data, in->size);
		size_t size = mutate(buf, in->size, &seed);
		uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees the end */

		memcpy(exact, buf, size);
		LLVMFuzzerTestOneInput(exact, size);
		free(exact);
	}
	printf("%s: %zu inputs, %ld mutations\n",
	       strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0], input_count, rounds);
	for (size_t i = 0; i < input_count; i++)
		free(inputs[i].data);
	free(buf);
	return 0;
}
