/* Does to a block device, and to files, what its standard input says, one thing a line.
 *
 * exerciser DEVICE < lines          runs in the guest; no process is started for a line
 *
 *   W PAGE BYTES SEED   write a page: so many bytes at random, then zeros
 *   F PAGE WORD         write a page that is filled with one word (hexadecimal)
 *   R PAGE              read a page
 *   D PAGE COUNT        discard pages
 *   E PATH TEXT         write a text to a file
 *   M MIB BYTES SEED    have so much anonymous memory, each page with BYTES at random
 *   U PERCENT SEED      give back that share of its pages, chosen at random
 *   P PERCENT SEED      have that share of its pages swapped out
 *   S MILLISECONDS      sleep
 *
 * The bytes come from a generator of 64 bits (xorshift*), so that a recording can be made again.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static uint64_t state;
static char buffer[PAGE] __attribute__((aligned(PAGE)));
static char *anonymous;
static size_t anonymous_pages;

static uint64_t at_random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545F4914F6CDD1DULL;
}

static void seed(uint64_t number)
{
	state = number * 0x9E3779B97F4A7C15ULL + 1;
	for (int i = 0; i < 8; i++)
		at_random();
}

static void fill(char *page, size_t bytes)
{
	memset(page, 0, PAGE);
	for (size_t i = 0; i < bytes; i++)
		page[i] = (char)(at_random() >> 32);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void put(int device, unsigned long page)
{
	if (pwrite(device, buffer, PAGE, (off_t)page * PAGE) != PAGE)
		perror("write");
}

static void discard(int device, unsigned long first, unsigned long count)
{
	uint64_t range[2] = { (uint64_t)first * PAGE, (uint64_t)count * PAGE };

	if (ioctl(device, BLKDISCARD, range))
		perror("discard");
}

static void echo(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		perror(path);
	if (file >= 0)
		close(file);
}

static void occupy(size_t mib, size_t bytes)
{
	anonymous_pages = mib << 8;
	anonymous = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (anonymous == MAP_FAILED)
		fail("mmap");
	for (size_t i = 0; i < anonymous_pages; i++)
		fill(anonymous + i * PAGE, bytes);
}

static void advise(unsigned int percent, int advice)
{
	for (size_t i = 0; i < anonymous_pages; i++)
		if ((at_random() >> 32) % 100 < percent)
			madvise(anonymous + i * PAGE, PAGE, advice);
}

int main(int argc, char **argv)
{
	char line[256], path[128], text[64];
	unsigned long a, b, c;
	int device = argc > 1 ? open(argv[1], O_RDWR | O_DIRECT) : -1;

	if (device < 0)
		fail("device");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "W %lu %lu %lu", &a, &b, &c) == 3) {
			seed(c);
			fill(buffer, b);
			put(device, a);
		} else if (sscanf(line, "F %lu %lx", &a, &b) == 2) {
			for (int i = 0; i < PAGE / 8; i++)
				((uint64_t *)buffer)[i] = b;
			put(device, a);
		} else if (sscanf(line, "R %lu", &a) == 1) {
			if (pread(device, buffer, PAGE, (off_t)a * PAGE) != PAGE)
				perror("read");
		} else if (sscanf(line, "D %lu %lu", &a, &b) == 2) {
			discard(device, a, b);
		} else if (sscanf(line, "E %127s %63s", path, text) == 2) {
			echo(path, text);
		} else if (sscanf(line, "M %lu %lu %lu", &a, &b, &c) == 3) {
			seed(c);
			occupy(a, b);
		} else if (sscanf(line, "U %lu %lu", &a, &b) == 2) {
			seed(b);
			advise(a, MADV_DONTNEED);
		} else if (sscanf(line, "P %lu %lu", &a, &b) == 2) {
			seed(b);
			advise(a, MADV_PAGEOUT);
		} else if (sscanf(line, "S %lu", &a) == 1) {
			usleep(a * 1000);
		} else {
			fprintf(stderr, "what is this: %s", line);
			return 1;
		}
	}
	return 0;
}
