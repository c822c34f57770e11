/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Lines of the pool. What refers to one says its number in a word that counts by epoch, and 0 refers
 * to nothing. A line that is not there denies: whoever asks for one gives up then.
 */
#ifndef SALLYPORT_POOL_H
#define SALLYPORT_POOL_H

/* The chunk in which a line is. Most are in the first one, which the CPU foresees, and finds before it has the
 * number; the compiler is not to see that both branches come to the same.
 */
static __always_inline struct line *chunk_of(__u32 number)
{
	__u32 at = 0, zero = 0;
	void *chunk;

	if (number >= CHUNK_LINES) {
		at = number / CHUNK_LINES;
		barrier_var(at);
	}
	chunk = bpf_map_lookup_elem(&pool, &at);
	return chunk ? bpf_map_lookup_elem(chunk, &zero) : NULL;
}

static __always_inline struct line *line_at(__u32 number)
{
	struct line *chunk = chunk_of(number);

	return chunk ? &chunk[number % CHUNK_LINES] : NULL;
}

/* Of lines that follow each other from a first one on: the word that has an index. 0: it is not there. */
static __always_inline __u32 word_at(__u32 first, __u32 index)
{
	struct line *line = line_at(first + index / 16);

	return line ? line->words[index % 16] : 0;
}

#endif
