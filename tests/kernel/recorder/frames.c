// SPDX-License-Identifier: GPL-2.0
/*
 * Writes down every frame and every free list of a machine before and after it compacts its memory,
 * and owns movable pages that answer by script. Made for Linux 6.1 on x86-64.
 *
 * debugfs frames/do takes one command a write:
 *
 *   script AGAIN TIMES FAIL   of the pages taken from now on, so many in a hundred answer -EAGAIN
 *                             that often and then move, and so many fail with -EBUSY for ever
 *   take COUNT                take movable pages
 *   give PERCENT              give back that share of them, chosen at random
 *   hold COUNT ORDER          take blocks that nobody can move
 *   drop PERCENT              give back that share of those
 *   pin PERMILLE              one more reference on that share of the LRU's pages
 *   manual TIMES              ask the host, and compact all memory, see record()
 *
 * frames/{pages,free,zones}{0,1}, frames/log and frames/driver_pages are what was written down, in
 * the layout of core/movable/recording/format.py.
 */
#include <linux/debugfs.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/swap.h>
#include <linux/sysctl.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Records the frames of a machine around a compaction");

static bool refuse;
module_param(refuse, bool, 0644);
MODULE_PARM_DESC(refuse, "every page of ours refuses to be isolated");

/* Layouts. */

struct frame {
	u64 flags, mapping;
	s32 refcount, mapcount;
	u8 present, zone, migratetype, order, skip, kind;
	u16 pad;
	u64 private;
};

struct free_block {
	u32 pfn;
	u8 zone, order, migratetype, per_cpu;
};

struct call {
	u32 op, number, pfn, newpfn, mode;
	s32 answer;
};

struct row {
	u32 pfn, refuse, again, fail;
};

enum { OTHER, BUDDY, SLAB, LRU, DRIVER, RESERVED, TAIL, HEAD, PER_CPU };
enum { ISOLATE = 1, MIGRATE, PUTBACK };
enum { NO_ORDER = 255, MAX_BLOCKS = 1 << 17, MAX_CALLS = 1 << 17, MAX_PAGES = 1 << 17 };
enum { TEXT = 1 << 14 };

struct state {
	struct debugfs_blob_wrapper frames, blocks, text;
};

static struct state states[2];
static struct debugfs_blob_wrapper log_blob, rows_blob;

/* What the kernel does not export. */

static unsigned long (*block_flags)(const struct page *, unsigned long, unsigned long);
static int (*compaction_handler)(struct ctl_table *, int, void *, size_t *, loff_t *);
static void (*drain_lru)(void);

static int find_symbols(void)
{
	static const struct { const char *name; void *pointer; } wanted[] = {
		{ "get_pfnblock_flags_mask", &block_flags },
		{ "sysctl_compaction_handler", &compaction_handler },
		{ "lru_add_drain_all", &drain_lru },
	};
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	unsigned long (*lookup)(const char *);
	int i, err = register_kprobe(&probe);

	if (err)
		return err;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		unsigned long address = lookup(wanted[i].name);

		if (!address)
			return -ENOENT;
		*(unsigned long *)wanted[i].pointer = address;
	}
	return 0;
}

/* xorshift*, as in exerciser.c, so that a recording can be made again. */

static u64 random_state = 0x9E3779B97F4A7C15ULL;

static bool chance(unsigned int share, unsigned int whole)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (u32)(random_state * 0x2545F4914F6CDD1DULL >> 32) % whole < share;
}

/* The driver. Its page number i is pages[i], and has i in its private word wherever it moves. */

static struct owned {
	struct page *page;
	u32 again, fail, tries;
} *pages;
static u32 nr_pages, nr_calls;
static struct call *calls;
static bool logging;
static unsigned int share_again, times_again, share_fail;

static void note(u32 op, struct page *page, u32 newpfn, u32 mode, s32 answer)
{
	struct call call = { op, page_private(page), page_to_pfn(page), newpfn, mode, answer };

	if (logging && nr_calls < MAX_CALLS)
		calls[nr_calls++] = call;
}

static bool frames_isolate(struct page *page, isolate_mode_t mode)
{
	note(ISOLATE, page, 0, mode, !refuse);
	return !refuse;
}

static void frames_putback(struct page *page)
{
	note(PUTBACK, page, 0, 0, 0);
}

static int frames_migrate(struct page *newpage, struct page *page, enum migrate_mode mode);

static const struct movable_operations operations = {
	.isolate_page = frames_isolate,
	.migrate_page = frames_migrate,
	.putback_page = frames_putback,
};

static int frames_migrate(struct page *newpage, struct page *page, enum migrate_mode mode)
{
	struct owned *own = &pages[page_private(page)];
	int answer = MIGRATEPAGE_SUCCESS;

	if (own->fail)
		answer = -EBUSY;
	else if (own->tries++ < own->again)
		answer = -EAGAIN;
	note(MIGRATE, page, page_to_pfn(newpage), mode, answer);
	if (answer)
		return answer;
	copy_highpage(newpage, page);
	get_page(newpage);
	set_page_private(newpage, page_private(page));
	__SetPageMovable(newpage, &operations);
	own->page = newpage;
	own->tries = 0;
	set_page_private(page, 0);
	__ClearPageMovable(page);
	put_page(page);
	return 0;
}

static void take(unsigned int count)
{
	while (count-- && nr_pages < MAX_PAGES) {
		struct page *page = alloc_page((GFP_HIGHUSER_MOVABLE & ~__GFP_RECLAIM) | __GFP_NOWARN);
		struct owned own = { .page = page };

		if (!page)
			break;
		own.again = chance(share_again, 100) ? times_again : 0;
		own.fail = chance(share_fail, 100);
		set_page_private(page, nr_pages);
		pages[nr_pages++] = own;
		lock_page(page);
		__SetPageMovable(page, &operations);
		unlock_page(page);
	}
}

static void give(unsigned int percent)
{
	u32 i, kept = 0;

	for (i = 0; i < nr_pages; i++) {
		struct page *page = pages[i].page;
		bool gone = chance(percent, 100);

		lock_page(page);
		set_page_private(page, gone ? 0 : kept);
		if (gone)
			__ClearPageMovable(page);
		else
			pages[kept++] = pages[i];
		unlock_page(page);
		if (gone)
			put_page(page);
	}
	nr_pages = kept;
}

/* Pages that stay where they are. */

static struct page **held;
static u32 nr_held;

static void hold(unsigned int count, unsigned int order)
{
	while (count-- && nr_held < MAX_PAGES) {
		struct page *page = alloc_pages((GFP_KERNEL & ~__GFP_RECLAIM) | __GFP_NOWARN, order);

		if (!page)
			break;
		set_page_private(page, order);
		held[nr_held++] = page;
	}
}

static void drop(unsigned int percent)
{
	u32 i, kept = 0;

	for (i = 0; i < nr_held; i++) {
		struct page *page = held[i];
		unsigned int order = page_private(page);

		if (!chance(percent, 100)) {
			held[kept++] = page;
			continue;
		}
		set_page_private(page, 0);
		__free_pages(page, order);
	}
	nr_held = kept;
}

static unsigned long end_pfn(void)
{
	return NODE_DATA(0)->node_start_pfn + NODE_DATA(0)->node_spanned_pages;
}

static void pin(unsigned int permille)
{
	unsigned long pfn;

	for (pfn = 0; pfn < end_pfn(); pfn++) {
		struct page *page = pfn_valid(pfn) ? pfn_to_page(pfn) : NULL;

		if (page && PageLRU(page) && !PageCompound(page) && chance(permille, 1000))
			(void)get_page_unless_zero(page);
	}
}

/* Snapshots. */

static u8 kind_of(struct page *page)
{
	if (PageBuddy(page))
		return BUDDY;
	if (PageTail(page))
		return TAIL;
	if (PageSlab(page))
		return SLAB;
	if (PageHead(page))
		return HEAD;
	if (PageReserved(page))
		return RESERVED;
	if (__PageMovable(page))
		return DRIVER;
	return PageLRU(page) ? LRU : OTHER;
}

static void write_frame(struct frame *frame, struct page *page, unsigned long pfn)
{
	frame->present = 1;
	frame->flags = page->flags;
	frame->mapping = (u64)page->mapping;
	frame->refcount = page_ref_count(page);
	frame->mapcount = atomic_read(&page->_mapcount) + 1;
	frame->zone = page_zonenum(page);
	frame->migratetype = block_flags(page, pfn, MIGRATETYPE_MASK);
	frame->skip = block_flags(page, pfn, 1UL << PB_migrate_skip) != 0;
	frame->kind = kind_of(page);
	frame->order = NO_ORDER;
	if (frame->kind == BUDDY)
		frame->order = page_private(page);
	else if (PageHead(page))
		frame->order = compound_order(page);
	frame->private = page_private(page);
}

static void add_block(struct state *state, struct page *page, struct free_block block)
{
	struct free_block *blocks = state->blocks.data;

	block.pfn = page_to_pfn(page);
	if (state->blocks.size < MAX_BLOCKS * sizeof(*blocks)) {
		blocks[state->blocks.size / sizeof(*blocks)] = block;
		state->blocks.size += sizeof(*blocks);
	}
}

static void say(struct state *state, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	state->text.size += vscnprintf(state->text.data + state->text.size,
				       TEXT - state->text.size, format, arguments);
	va_end(arguments);
}

static void write_free_lists(struct state *state, struct zone *zone, u8 z)
{
	struct page *page;
	int order, type;

	for (order = 0; order < MAX_ORDER; order++)
		for (type = 0; type < MIGRATE_TYPES; type++)
			list_for_each_entry(page, &zone->free_area[order].free_list[type], buddy_list)
				add_block(state, page, (struct free_block){ 0, z, order, type, 0 });
}

static void write_cpu(struct state *state, struct zone *zone, u8 z, int cpu)
{
	struct per_cpu_zonestat *stat = per_cpu_ptr(zone->per_cpu_zonestats, cpu);
	struct per_cpu_pages *pcp = per_cpu_ptr(zone->per_cpu_pageset, cpu);
	struct frame *frames = state->frames.data;
	struct page *page;
	int i;

	for (i = 0; i < NR_PCP_LISTS; i++)
		list_for_each_entry(page, &pcp->lists[i], pcp_list) {
			add_block(state, page, (struct free_block){ 0, z, i / MIGRATE_PCPTYPES,
				  i % MIGRATE_PCPTYPES, 1 + cpu });
			frames[page_to_pfn(page)].kind = PER_CPU;
		}
	say(state, "zone %d cpu %d pcp_count %d high %d batch %d free_factor %d", z, cpu,
	    pcp->count, pcp->high, pcp->batch, pcp->free_factor);
	say(state, " stat_threshold %d free_diff %d\n", stat->stat_threshold,
	    stat->vm_stat_diff[NR_FREE_PAGES]);
}

static void write_zone(struct state *state, struct zone *zone, u8 z)
{
	const struct { const char *name; unsigned long value; } fields[] = {
		{ "start_pfn", zone->zone_start_pfn },
		{ "spanned", zone->spanned_pages },
		{ "present", zone->present_pages },
		{ "managed", zone_managed_pages(zone) },
		{ "wmark_min", zone->_watermark[WMARK_MIN] },
		{ "wmark_low", zone->_watermark[WMARK_LOW] },
		{ "wmark_high", zone->_watermark[WMARK_HIGH] },
		{ "boost", zone->watermark_boost },
		{ "cached_free_pfn", zone->compact_cached_free_pfn },
		{ "cached_migrate_pfn_async", zone->compact_cached_migrate_pfn[0] },
		{ "cached_migrate_pfn_sync", zone->compact_cached_migrate_pfn[1] },
		{ "init_migrate_pfn", zone->compact_init_migrate_pfn },
		{ "init_free_pfn", zone->compact_init_free_pfn },
		{ "considered", zone->compact_considered },
		{ "defer_shift", zone->compact_defer_shift },
		{ "order_failed", zone->compact_order_failed },
		{ "blockskip_flush", zone->compact_blockskip_flush },
		{ "free", zone_page_state(zone, NR_FREE_PAGES) },
		{ "highatomic", zone->nr_reserved_highatomic },
		{ "zflags", zone->flags },
		{ "contiguous", zone->contiguous },
		{ "lr0", zone->lowmem_reserve[0] },
		{ "lr1", zone->lowmem_reserve[1] },
		{ "lr2", zone->lowmem_reserve[2] },
		{ "lr3", zone->lowmem_reserve[3] },
		{ "isolate_blocks", zone->nr_isolate_pageblock },
	};
	int i;

	say(state, "zone %d name %s", z, zone->name);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		say(state, " %s %ld", fields[i].name, (long)fields[i].value);
	say(state, "\n");
}

static void write_counters(struct state *state)
{
	static const struct { const char *name; int item; } events[] = {
		{ "pgmigrate_success", PGMIGRATE_SUCCESS },
		{ "pgmigrate_fail", PGMIGRATE_FAIL },
		{ "compact_migrate_scanned", COMPACTMIGRATE_SCANNED },
		{ "compact_free_scanned", COMPACTFREE_SCANNED },
		{ "compact_isolated", COMPACTISOLATED },
		{ "compact_stall", COMPACTSTALL },
		{ "compact_fail", COMPACTFAIL },
		{ "compact_success", COMPACTSUCCESS },
		{ "compact_daemon_wake", KCOMPACTD_WAKE },
		{ "compact_daemon_migrate_scanned", KCOMPACTD_MIGRATE_SCANNED },
		{ "compact_daemon_free_scanned", KCOMPACTD_FREE_SCANNED },
		{ "pgfree", PGFREE },
	};
	int i, cpu;

	say(state, "vm");
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		unsigned long sum = 0;

		for_each_online_cpu(cpu)
			sum += per_cpu(vm_event_states, cpu).event[events[i].item];
		say(state, " %s %lu", events[i].name, sum);
	}
	say(state, "\n");
}

static void snapshot(struct state *state)
{
	struct frame *frames = state->frames.data;
	struct zone *zone;
	unsigned long pfn, flags;
	int z, cpu;

	local_irq_save(flags);
	state->blocks.size = state->text.size = 0;
	for (pfn = 0; pfn < end_pfn(); pfn++)
		if (pfn_valid(pfn))
			write_frame(&frames[pfn], pfn_to_page(pfn), pfn);
	for (z = 0; z < MAX_NR_ZONES; z++) {
		zone = &NODE_DATA(0)->node_zones[z];
		if (!zone->present_pages)
			continue;
		write_free_lists(state, zone, z);
		for_each_online_cpu(cpu)
			write_cpu(state, zone, z, cpu);
		write_zone(state, zone, z);
	}
	write_counters(state);
	local_irq_restore(flags);
}

/* One recording. */

static bool daemons_sleep(void)
{
	return waitqueue_active(&NODE_DATA(0)->kcompactd_wait) &&
	       waitqueue_active(&NODE_DATA(0)->kswapd_wait);
}

static void settle(void)
{
	int ticks, asleep = 0;

	for (ticks = 0; ticks < 20 * HZ && asleep < HZ / 10; ticks++) {
		asleep = daemons_sleep() ? asleep + 1 : 0;
		schedule_timeout_uninterruptible(1);
	}
	drain_lru();
}

enum { SECOND_PORT = 0x2f8, LINE_STATUS = 5, DATA_READY = 1 };

/* Nothing can happen in this machine between the question, at which the host saves it, and its answer. */
static u8 ask_the_host(void)
{
	outb('?', SECOND_PORT);
	while (!(inb(SECOND_PORT + LINE_STATUS) & DATA_READY))
		cpu_relax();
	return inb(SECOND_PORT);
}

static void write_rows(void)
{
	struct row *rows = rows_blob.data;
	u32 i;

	for (i = 0; i < nr_pages; i++)
		rows[i] = (struct row){ page_to_pfn(pages[i].page), refuse, pages[i].again,
					pages[i].fail };
	rows_blob.size = nr_pages * sizeof(*rows);
	log_blob.size = nr_calls * sizeof(*calls);
}

static void record(unsigned int times)
{
	unsigned long flags;
	u32 i;

	settle();
	for (i = 0; i < nr_pages; i++)
		pages[i].tries = 0;
	local_irq_save(flags);
	refuse = ask_the_host() == 'r';
	snapshot(&states[0]);
	local_irq_restore(flags);
	nr_calls = 0;
	logging = true;
	tracing_on();
	while (times--)
		compaction_handler(NULL, 1, NULL, NULL, NULL);
	tracing_off();
	logging = false;
	snapshot(&states[1]);
	write_rows();
}

static ssize_t do_write(struct file *file, const char __user *from, size_t length, loff_t *at)
{
	char text[64];
	unsigned int a, b, c;

	if (length >= sizeof(text) || copy_from_user(text, from, length))
		return -EINVAL;
	text[length] = 0;
	if (sscanf(text, "script %u %u %u", &a, &b, &c) == 3) {
		share_again = a;
		times_again = b;
		share_fail = c;
	} else if (sscanf(text, "take %u", &a) == 1)
		take(a);
	else if (sscanf(text, "give %u", &a) == 1)
		give(a);
	else if (sscanf(text, "hold %u %u", &a, &b) == 2)
		hold(a, b);
	else if (sscanf(text, "drop %u", &a) == 1)
		drop(a);
	else if (sscanf(text, "pin %u", &a) == 1)
		pin(a);
	else if (sscanf(text, "manual %u", &a) == 1)
		record(a);
	else
		return -EINVAL;
	return length;
}

static const struct file_operations do_operations = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = do_write,
};

static bool blob(struct dentry *folder, const char *name, struct debugfs_blob_wrapper *blob,
		 size_t size)
{
	blob->data = vzalloc(size);
	blob->size = size;
	debugfs_create_blob(name, 0400, folder, blob);
	return blob->data;
}

/* Never unloaded: its pages are all over the memory that is looked at. */
static int __init frames_init(void)
{
	struct dentry *folder;
	bool whole = true;
	char name[8];
	int i, err = find_symbols();

	if (err)
		return err;
	folder = debugfs_create_dir("frames", NULL);
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "pages%d", i);
		whole &= blob(folder, name, &states[i].frames, end_pfn() * sizeof(struct frame));
		snprintf(name, sizeof(name), "free%d", i);
		whole &= blob(folder, name, &states[i].blocks, MAX_BLOCKS * sizeof(struct free_block));
		snprintf(name, sizeof(name), "zones%d", i);
		whole &= blob(folder, name, &states[i].text, TEXT);
	}
	whole &= blob(folder, "log", &log_blob, MAX_CALLS * sizeof(*calls));
	whole &= blob(folder, "driver_pages", &rows_blob, MAX_PAGES * sizeof(struct row));
	calls = log_blob.data;
	pages = vzalloc(MAX_PAGES * sizeof(*pages));
	held = vzalloc(MAX_PAGES * sizeof(*held));
	debugfs_create_file("do", 0200, folder, NULL, &do_operations);
	return whole && pages && held ? 0 : -ENOMEM;
}
module_init(frames_init);
