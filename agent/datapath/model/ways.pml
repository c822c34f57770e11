/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bucket of the connection table, ../bpf/entry.h and bucket.h and overflow.h beside it, as a model for spin: CPUS processors handle PACKETS packets
 * each, of two flows, while time goes by and the agent sweeps (SWEEP) or cuts (CUT). README.md says what is modelled
 * and what is not. Whatever is not in one atomic or d_step is a step of its own, that others may come between.
 *
 * What must hold is asserted where it could break:
 *   lose      a live established flow never leaves the table
 *   missed    a packet never misses its flow, established or not, while that has an entry
 *   accept    a packet takes no entry for its own that is another flow's, or half written
 *   own       no transition changes another flow's entry
 *   establish what was cut stays cut
 *   rest      once no packet is on its way a flow has one live entry, and one way is left to those that open
 *
 * BROKEN is one deliberate mistake, by number; see model_test.go.
 */
#ifndef WAYS
#define WAYS 2
#endif
#define LIMIT (WAYS - 1) /* MAX_ESTABLISHED_WAYS */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef PACKETS
#define PACKETS 1
#endif
#ifndef LAST /* packets of the last CPU */
#define LAST PACKETS
#endif
#ifndef TICKS
#define TICKS 2
#endif
#ifndef SETUP
#define SETUP 0
#endif
#ifndef BROKEN
#define BROKEN 0
#endif
#define KEYS 2
#define OTHER 3 /* a flow that no packet comes for */
/* The places of entries: the ways, then that of each key in the kernel's map. */
#define PLACES (WAYS + KEYS)
#define BESIDE(k) (WAYS - 1 + (k))
#define NONE PLACES

#define NO_SECOND_READ	 1 /* a reader does not look at the tag again */
#define NO_RESCAN	 2 /* nobody looks for a second entry after an insert */
#define NO_VERSION	 3 /* a way that is used again has the tag it had */
#define EARLY_PUBLISH	 4 /* the tag says so before the fields are written */
#define CUT_BY_STORE	 5 /* the agent's cut is a load and a store */
#define HIGHER_GOES	 6 /* of two entries that of the higher way goes, whatever it is */
#define NO_MARGIN	 7 /* an established entry is claimed as soon as it is past its timeout */
#define TWO_SCANS	 8 /* the agent cuts, waits for a grace period, cuts again, and believes that this was all */
#define KEY_FIRST	 9 /* a reader's load of the key comes before that of the tag */
#define KEY_LAST	10 /* … or after the second one of the tag */
#define STORE_BUFFER	11 /* the publishing store is still in the CPU's store buffer when it scans again */
#define ONE_LOOK	12 /* a reader who has not found the flow does not look again */
#define OVERFLOW_FIRST	13 /* … or looks into the overflow before the ways */
#define EMPTY_FIRST	14 /* a move to the overflow takes the flow out of its way first */
#define NO_OVERFLOW_LOOK 15 /* an inserter does not look into the overflow again */
#define NO_BUCKET_LOOK	16 /* … nor the one who overflows into the bucket */
#define MARK_BY_OR	17 /* a packet sets a flag by an atomic or, whatever the way holds by then */
#define NO_COPY_CHECK	18 /* a copy is published without a look whether its source still is what it was */
#define SWEEP_BY_STORE	19 /* the agent's sweep is a load and a store */
#define NO_RECOUNT	20 /* who establishes does not count again */
#define CLAIM_BY_STORE	21 /* a way is claimed by a load and a store */
#define SAME_VERSION	22 /* an entry that is written anew keeps its version */
#define AMEND_WHATEVER	23 /* an entry that was past is written anew even if it was established meanwhile */
#define YIELD_WHATEVER	24 /* an entry gives way to that of the overflow even if it alone is established */
#define REMOVE_BY_KEY	25 /* an entry of the overflow is removed without making it busy first */

/* A tag: what it is, in the order of rank; a flag; a version. All fingerprints are equal; APART, each flow has its own,
 * which an empty way keeps.
 */
#define EMPTY 0
#define BUSY  1
#define DEAD  2 /* cut, or closed */
#define HALF  3
#define EST   4
#define CHANGING 5
#define MARKED 8
#define VERSIONS 112
#define NEXT  16
#define STATE(t) ((t) & 7)
#define VERSION(t) ((t) & VERSIONS)
#define RANK(t) (STATE(t) == CHANGING) /* of two that are both established, or both not */
#define WITH(t, s) (((t) & ~7) | (s))
#define IS_ENTRY(t) (STATE(t) > BUSY)
#define IS_LIVE(t) (STATE(t) == HALF || STATE(t) == EST)
#ifdef APART
#define IS_CANDIDATE(w) (fingerprint[w] == k)
#else
#define IS_CANDIDATE(w) (STATE(tag[w]) != EMPTY)
#endif

#define FRESH 0
#define EXPIRED 1 /* for packets it is not there */
#define OLD 2	  /* … and others may have its way */
#if BROKEN == NO_MARGIN
#define RECLAIMED EXPIRED
#else
#define RECLAIMED OLD
#endif

/* By place. by is of the key's flow: whose rules, counters and so on. An empty place beside the ways is no element of
 * the kernel's map, whose operations are atomic.
 */
byte tag[PLACES];
byte key[PLACES], by[PLACES], age[PLACES];
#ifdef APART
byte fingerprint[WAYS]; /* part of the tag */
#endif
bool overflowed;
bool allowed[4];  /* the rules let the flow begin */

/* What is only known here. */
bool established[4]; /* by key: a packet has made it so, and none has ended it */
bool alive[4];	     /* … and it is not past its timeout */
bool gone[4];	     /* cut, and no rule lets it begin */
bool refused;	     /* the overflow was, once; or its entry was being written */
byte watch[CPUS];    /* the key of a flow that the lookup under way must find: it is there, or goes from place to place */
byte since[PLACES];  /* CPUS, as bits, whose packet is older than the age */
byte left[CPUS];
bool inside[CPUS + 1]; /* the last is the sweep, between a look and what it does */
byte flow[CPUS]; /* whose packet is inside */
bool late[CPUS];

/* The place w is that old from now on. */
inline grow(w_, a_)
{
	age[w_] = a_;
	since[w_] = 0;
	for (g : 0 .. CPUS) {
		since[w_] = since[w_] | (inside[g] << g)
	};
	g = 0
}

inline depart(who_)
{
	inside[who_] = false;
	for (g : 0 .. PLACES - 1) {
		since[g] = since[g] & ~(1 << who_)
	};
	g = 0
}

inline unwatch(k_)
{
	for (g : 0 .. CPUS - 1) {
		if
		:: watch[g] == k_ -> watch[g] = 0
		:: else
		fi
	};
	g = 0
}

inline end(k_)
{
	established[k_] = false;
	alive[k_] = false;
	unwatch(k_)
}

/* A cut, or an RST: what a packet that was under way then makes established once more has no claim. */
inline stop(k_)
{
	end(k_);
	for (g : 0 .. CPUS - 1) {
		if
		:: flow[g] == k_ -> late[g] = true
		:: else
		fi
	};
	g = 0
}

inline establish(k_, is_alive)
{
	assert(!gone[k_]);
	if
	:: !late[me] ->
		established[k_] = true;
		alive[k_] = is_alive
	:: else
	fi
}

/* The entry of w is about to go. */
inline lose(w_)
{
	h = 0;
	for (g : 0 .. PLACES - 1) {
		if
		:: g != w_ && IS_ENTRY(tag[g]) && key[g] == key[w_] -> h = 1
		:: else
		fi
	};
	if
	:: h == 0 -> unwatch(key[w_])
	:: else
	fi;
	h = 0;
	if
	:: STATE(tag[w_]) == EST && established[key[w_]] ->
		h = 0;
		for (g : 0 .. PLACES - 1) {
			if
			:: g != w_ && STATE(tag[g]) == EST && key[g] == key[w_] -> h = 1
			:: else
			fi
		}
		if
		:: h == 0 ->
			assert(!alive[key[w_]]); /* a live established flow is lost */
			end(key[w_])
		:: else
		fi;
		h = 0
	:: else
	fi;
	g = 0
}

/* Nobody is on the way: one live entry of a flow at most, and one way that is not established. */
inline rest()
{
	h = 0;
	for (g : 0 .. CPUS - 1) {
		h = h + inside[g]
	}
	if
	:: h == 0 ->
		for (f : 1 .. KEYS) {
			h = 0;
			for (g : 0 .. PLACES - 1) {
				if
				:: IS_LIVE(tag[g]) && key[g] == f && age[g] == FRESH -> h++
				:: else
				fi
			}
			assert(h <= 1) /* two live entries of one flow */
		};
		h = 0;
		for (g : 0 .. WAYS - 1) {
			if
			:: STATE(tag[g]) == EST -> h++
			:: else
			fi
		};
		assert(h <= LIMIT || refused) /* no way is left */
	:: else
	fi;
	g = 0;
	h = 0;
	f = 0
}

proctype cpu(byte me)
{
	byte k;		 /* the packet's flow */
	bool answer;	 /* it comes the other way: no rule lets it pass */
	bool ends;	 /* it ends the connection */
	bool may;	 /* the rules that it goes by let it begin one */
	bool again;	 /* all ways were looked at once */
	bool marked;	 /* what moves out was established in its way */
	bool buffered;	 /* STORE_BUFFER */
	bool seen[WAYS]; /* a candidate, when they were looked for */
	byte w, t, u, a, b, c; /* the way looked at, its tag, the tag again, fields */
	byte stale, st;	 /* the way of an entry of this flow that is past, and its tag */
	byte i, v, j, x, y; /* own new way and its version; another; the tags of both */
	byte f, g, h;

next:
	atomic {
		d_step {
			k = 0; answer = 0; ends = 0; may = 0; w = 0; t = 0; u = 0; a = 0; b = 0; c = 0; marked = 0;
			stale = NONE; st = 0; i = NONE; j = 0; v = 0; x = 0; y = 0; again = 0;
			for (g : 0 .. WAYS - 1) {
				seen[g] = 0
			};
			g = 0;
			watch[me] = 0;
			if
			:: inside[me] ->
				flow[me] = 0;
				late[me] = false;
				depart(me);
				rest()
			:: else
			fi
		};
		if
		:: left[me] == 0 -> goto out
		:: else -> left[me]--
		fi;
		if
		:: k = 1
		:: k = 2
		fi;
		if
		:: skip
		:: answer = true
#ifndef SWEEP
		:: ends = true
#endif
		fi;
		may = allowed[k] && !answer && !ends;
		inside[me] = true;
		flow[me] = k;
		d_step {
			for (g : 0 .. PLACES - 1) {
				if
				:: IS_LIVE(tag[g]) && key[g] == k && age[g] == FRESH -> watch[me] = k
				:: else
				fi
			};
			g = 0
		}
	};
#if BROKEN == OVERFLOW_FIRST
	d_step { x = (overflowed -> tag[BESIDE(k)] : 0); b = age[BESIDE(k)] };
#endif

	/* ---- lookup ---- */
collect:
	atomic {
		if
		:: w == WAYS -> w = 0; goto look
		:: else -> seen[w] = IS_CANDIDATE(w); w++
		fi
	};
	goto collect;
look:
	atomic {
		if
#if BROKEN == ONE_LOOK
		:: w == WAYS -> goto look_overflow
#else
		:: w == WAYS && again -> goto look_overflow
		:: w == WAYS && !again -> again = true; w = 0; goto collect
#endif
		:: w < WAYS && !seen[w] -> w++; goto look
		:: else
		fi
	};
#if BROKEN == KEY_FIRST
	d_step { b = by[w]; c = key[w] };
#endif
	atomic {
		t = tag[w];
		if
		:: !IS_ENTRY(t) -> t = 0; w++; goto look
		:: else
		fi
	};
#if BROKEN == KEY_LAST
	u = tag[w];
#endif
#if BROKEN != KEY_FIRST
	c = key[w];
#endif
	d_step {
#if BROKEN != KEY_FIRST
		b = by[w];
#endif
		a = age[w]
	};
	atomic {
#if BROKEN == NO_SECOND_READ
		u = t;
#elif BROKEN != KEY_LAST
		u = tag[w];
#endif
		if
		:: c != k || VERSION(u) != VERSION(t) || !IS_ENTRY(u) -> goto not_it
		:: else
		fi;
		assert(b == k || STATE(t) == CHANGING || STATE(u) == CHANGING); /* accept */
		watch[me] = 0;
		if
		:: STATE(t) == CHANGING || STATE(u) == CHANGING -> goto next /* the rules decide; another packet writes */
		:: else
		fi;
		if
		:: a != FRESH || STATE(t) == DEAD ->
			assert(a != FRESH || STATE(t) == DEAD);
			stale = w;
			st = t;
			goto missed
		:: else
		fi;
		goto hit; /* the verdict holds as of now */
not_it:
		a = 0; b = 0; c = 0; u = 0; t = 0;
		w++;
		goto look
	};

look_overflow:
#if BROKEN == OVERFLOW_FIRST
	atomic { t = x; a = b; x = 0; b = 0; w = BESIDE(k) };
#else
	if
	:: !overflowed -> goto missed
	:: else
	fi;
	atomic { t = tag[BESIDE(k)]; a = age[BESIDE(k)]; w = BESIDE(k) };
#endif
	atomic {
		if
		:: !IS_ENTRY(t) -> goto missed
		:: else -> watch[me] = 0
		fi;
		if
		:: STATE(t) == CHANGING -> goto next
		:: a != FRESH || STATE(t) == DEAD ->
			stale = w;
			st = t;
			goto missed
		:: else -> goto hit
		fi
	};
missed:
	atomic {
		w = 0; a = 0; b = 0; c = 0; u = 0; t = 0;
		assert(watch[me] == 0); /* missed: a packet does not find its flow, which is there */
		if
		:: may -> goto insert
		:: else -> goto next
		fi
	};

	/* ---- an entry of this flow: the way w, read when its tag was t ---- */
hit:
	atomic {
		grow(w, FRESH);
		if
		:: STATE(tag[w]) == EST && key[w] == k && established[k] -> alive[k] = true
		:: else
		fi;
		a = 0; b = 0; c = 0; u = 0
	};
change:
	atomic {
		if
		:: STATE(t) == HALF && answer -> goto promote
		:: STATE(t) == EST && !answer && !ends -> goto next
		:: else
		fi;
#if BROKEN == MARK_BY_OR
		assert(key[w] == k || !IS_ENTRY(tag[w])); /* own */
		tag[w] = tag[w] | MARKED;
		goto next;
#endif
		if
		:: tag[w] == t ->
			d_step {
				assert(key[w] == k); /* own */
				if
				:: ends ->
					if
					:: STATE(t) == EST -> stop(k)
					:: else
					fi;
					tag[w] = WITH(t, DEAD)
				:: else -> tag[w] = t | MARKED
				fi
			};
			goto next
		:: tag[w] != t && VERSION(tag[w]) == VERSION(t) && IS_LIVE(tag[w]) -> t = tag[w]; goto change
		:: else -> goto next
		fi
	};

	/* ---- it is answered ---- */
promote:
	if
	:: w >= WAYS -> goto establish_it
	:: else
	fi;
	atomic {
		j = 0;
		for (g : 0 .. WAYS - 1) {
			if
			:: STATE(tag[g]) == EST -> j++
			:: else
			fi
		};
		g = 0
	};
	if
	:: j >= LIMIT -> goto move_out
	:: else
	fi;
establish_it:
	atomic {
		if
		:: tag[w] == t ->
			d_step {
				assert(key[w] == k); /* own */
				tag[w] = WITH(t, EST);
				t = WITH(t, EST);
				marked = true;
				establish(k, age[w] == FRESH)
			}
		:: tag[w] != t && VERSION(tag[w]) == VERSION(t) && STATE(tag[w]) == HALF -> t = tag[w]; goto establish_it
		:: else -> goto next
		fi;
		if
		:: w >= WAYS -> goto next
		:: else
		fi
	};
#if BROKEN == NO_RECOUNT
	goto next;
#endif
	atomic {
		d_step {
			j = 0;
			for (g : 0 .. WAYS - 1) {
				if
				:: STATE(tag[g]) == EST -> j++
				:: else
				fi
			};
			g = 0
		};
		if
		:: j <= LIMIT -> goto next
		:: else
		fi
	};

move_out:
	overflowed = true;
	atomic {
		y = tag[BESIDE(k)];
		if
		:: STATE(y) == EMPTY && VERSION(y) != VERSIONS -> tag[BESIDE(k)] = VERSION(y) + NEXT | BUSY; goto copy
		:: STATE(y) == EMPTY -> refused = true; goto next
		:: else -> y = 0
		fi
	};
	/* There is an element already. */
	atomic {
		y = tag[BESIDE(k)];
		a = age[BESIDE(k)];
		if
		:: STATE(y) == CHANGING -> refused = refused | marked; goto next
		:: !IS_ENTRY(y) || VERSION(y) == VERSIONS || STATE(y) == EST && a == FRESH -> goto next /* another CPU moves it */
		:: else
		fi;
	};
	atomic {
		if
		:: tag[BESIDE(k)] == y && IS_LIVE(y) && a == FRESH ->
			d_step {
				tag[BESIDE(k)] = WITH(y, EST);
				establish(k, age[BESIDE(k)] == FRESH);
				t = VERSION(t);
				j = 0; y = 0; a = 0
			};
			goto recheck
		:: tag[BESIDE(k)] == y && !(IS_LIVE(y) && a == FRESH) ->
			d_step {
				if
				:: STATE(y) == EST && !marked && a != FRESH -> end(k) /* it was past its timeout */
				:: else -> lose(BESIDE(k))
				fi;
				tag[BESIDE(k)] = VERSION(y) + NEXT | BUSY;
				y = 0;
				a = 0
			}
		:: else -> goto next
		fi
	};
copy:
#if BROKEN == EMPTY_FIRST
	if
	:: tag[w] == t -> tag[w] = VERSION(t)
	:: else
	fi;
#endif
	atomic { x = tag[w]; y = 0 };
	d_step { b = by[w]; a = age[w] };
	atomic {
		u = tag[w];
#if BROKEN != NO_COPY_CHECK && BROKEN != EMPTY_FIRST
		if
		:: VERSION(x) != VERSION(t) || VERSION(u) != VERSION(t) || !IS_LIVE(x) || !IS_ENTRY(u) || STATE(u) == CHANGING ->
			tag[BESIDE(k)] = VERSION(tag[BESIDE(k)]);
			goto next
		:: else
		fi;
#endif
		assert(b == k); /* accept: the copy is of another flow */
		u = 0; x = 0
	};
	d_step {
		by[BESIDE(k)] = b;
		grow(BESIDE(k), a);
		tag[BESIDE(k)] = VERSION(tag[BESIDE(k)]) | EST;
		establish(k, a == FRESH);
		a = 0; b = 0
	};
	atomic {
		t = VERSION(t); /* from here on: of which version it was */
		j = 0
	};
	/* It leaves its way, and every other way that it came to meanwhile. */
recheck:
	atomic {
		if
		:: j == WAYS -> goto next
		:: else -> x = tag[j]
		fi;
		if
		:: !IS_ENTRY(x) || STATE(x) == CHANGING -> j++; goto recheck
#if BROKEN == NO_BUCKET_LOOK
		:: j != w || VERSION(x) != t -> j++; goto recheck
#endif
		:: else
		fi
	};
	c = key[j];
	atomic {
		if
		:: c != k || VERSION(tag[j]) != VERSION(x) || !IS_ENTRY(tag[j]) -> c = 0; x = 0; j++; goto recheck
		:: tag[j] == x && c == k -> d_step { c = 0; lose(j); tag[j] = VERSION(x); x = 0; j++ }; goto recheck
		:: else -> c = 0; goto recheck
		fi
	};

	/* ---- the rules let the flow begin ---- */
insert:
	atomic {
		if
		:: stale != NONE -> i = stale; t = st; goto amend
		:: else
		fi;
		if
		:: i = 0
		:: i = 1
#if WAYS > 2
		:: i = 2
#endif
#if WAYS > 3
		:: i = 3
#endif
		fi
	};
	atomic {
		t = tag[i];
		if
		:: STATE(t) == BUSY || STATE(t) == CHANGING || VERSION(t) == VERSIONS -> goto next /* the packet is dropped */
		:: STATE(t) == EST
		:: else -> goto claim
		fi
	};
	if
	:: age[i] < RECLAIMED -> goto next
	:: else
	fi;
claim:
#if BROKEN == CLAIM_BY_STORE
	if
	:: tag[i] != t -> goto next
	:: else
	fi;
#endif
	atomic {
		if
#if BROKEN == CLAIM_BY_STORE
		:: true ->
#else
		:: tag[i] == t ->
#endif
			d_step {
				lose(i);
#if BROKEN == NO_VERSION
				v = VERSION(t);
#else
				v = VERSION(t) + NEXT;
#endif
#if BROKEN == EARLY_PUBLISH
				tag[i] = v | HALF;
#else
				tag[i] = v | BUSY;
#endif
#ifdef APART
				fingerprint[i] = k;
#endif
				t = 0
			}
		:: else -> goto next /* or on to another way: the packet is dropped here */
		fi
	};
	if
	:: key[i] = k; d_step { by[i] = k; grow(i, FRESH) }
	:: d_step { by[i] = k; grow(i, FRESH) }; key[i] = k
	fi;
	goto publish;

	/* In place of an entry of this flow that is past. by is another one's while it changes. */
amend:
	atomic {
		if
		:: tag[i] == t && VERSION(t) != VERSIONS ->
			d_step {
				if
				:: STATE(st) == EST -> end(k) /* it was past its timeout when this packet looked */
				:: else -> lose(i)
				fi;
				assert(key[i] == k); /* own */
#if BROKEN == SAME_VERSION
				v = VERSION(t);
#else
				v = VERSION(t) + NEXT;
#endif
				tag[i] = v | CHANGING;
				st = 0; t = 0; stale = NONE
			}
		:: tag[i] != t && VERSION(tag[i]) == VERSION(t) && STATE(tag[i]) > BUSY && STATE(tag[i]) != CHANGING &&
			(STATE(tag[i]) <= STATE(t) || BROKEN == AMEND_WHATEVER) ->
			t = tag[i];
			goto amend
		:: else -> stale = NONE; st = 0; goto insert
		fi
	};
	by[i] = OTHER;
	d_step { by[i] = k; grow(i, FRESH) };

publish:
	atomic {
#if BROKEN == STORE_BUFFER
		buffered = true;
#elif BROKEN != EARLY_PUBLISH
		d_step {
			tag[i] = v | HALF;
			assert(!gone[k])
		};
#endif
		j = 0
	};
#if BROKEN == NO_RESCAN
	goto next;
#endif
	if
	:: i >= WAYS -> goto take_over
	:: else
	fi;
rescan:
	atomic {
		if
		:: j == WAYS -> goto rescan_overflow
		:: j == i && j < WAYS -> j++; goto rescan
		:: else
		fi;
		t = tag[j];
		if
		:: !IS_ENTRY(t) -> t = 0; j++; goto rescan
		:: else
		fi
	};
	c = key[j];
	atomic {
		u = tag[j];
		if
		:: c != k || VERSION(u) != VERSION(t) || !IS_ENTRY(u) -> c = 0; u = 0; t = 0; j++; goto rescan
		:: else -> c = 0; u = 0
		fi
	};
judge:
	atomic {
		x = tag[i];
		if
		:: (VERSION(x) != v || !IS_ENTRY(x)) && !buffered -> goto next /* mine has gone */
		:: else
		fi
	};
	atomic {
		y = tag[j];
		if
		:: VERSION(y) != VERSION(t) || !IS_ENTRY(y) -> x = 0; y = 0; t = 0; j++; goto rescan
		:: else
		fi;
#if BROKEN == HIGHER_GOES
		if
		:: i > j
#else
		if
		:: STATE(x) != EST && STATE(y) == EST || (STATE(x) == EST) == (STATE(y) == EST) && (RANK(x) < RANK(y) || RANK(x) == RANK(y) && i < j)
#endif
			-> c = i
		:: else -> c = j
		fi;
		if
		:: STATE((c == i -> x : y)) == CHANGING -> x = 0; y = 0; c = 0; t = 0; j++; goto rescan /* its writer looks, too */
		:: else
		fi
	};
	atomic {
		if
		:: c == i && tag[i] == x -> d_step { lose(i); tag[i] = VERSION(x) }; goto next
		:: c == j && tag[j] == y -> d_step { lose(j); tag[j] = VERSION(y); x = 0; y = 0; c = 0; t = 0; j++ }; goto rescan
		:: else -> c = 0; goto judge
		fi
	};
rescan_overflow:
	j = 0;
#if BROKEN == STORE_BUFFER
	d_step {
		tag[i] = v | HALF;
		buffered = false
	};
#endif
#if BROKEN != NO_OVERFLOW_LOOK
	if
	:: overflowed
	:: else -> goto next
	fi;
yield:
	atomic {
		x = tag[i];
		if
		:: VERSION(x) != v || !IS_ENTRY(x) || STATE(x) == CHANGING -> goto next
		:: else
		fi
	};
	atomic {
		y = tag[BESIDE(k)];
		a = age[BESIDE(k)];
		if
		:: !IS_ENTRY(y) -> goto next
		:: else
		fi;
		if
		:: STATE(y) == CHANGING && STATE(x) == EST && BROKEN != YIELD_WHATEVER -> goto next
		:: STATE(y) == DEAD || STATE(y) != CHANGING && a != FRESH -> c = 1
		:: IS_LIVE(y) && a == FRESH && STATE(x) == EST && STATE(y) != EST && BROKEN != YIELD_WHATEVER -> c = 2
		:: else -> c = 0
		fi
	};
	atomic {
		if
		:: c == 0 && tag[i] == x -> d_step { lose(i); tag[i] = VERSION(x) }; goto next
		:: c == 1 && tag[BESIDE(k)] == y ->
			d_step {
				if
				:: STATE(y) == EST && STATE(x) != EST -> end(k) /* it was past its timeout when this packet looked */
				:: else -> lose(BESIDE(k))
				fi;
				tag[BESIDE(k)] = VERSION(y) | BUSY
			}
		:: c == 2 && tag[BESIDE(k)] == y ->
			d_step {
				tag[BESIDE(k)] = WITH(y, EST);
				establish(k, age[BESIDE(k)] == FRESH)
			};
			goto yield
		:: else -> c = 0; goto yield
		fi
	};
	tag[BESIDE(k)] = VERSION(tag[BESIDE(k)]);
#endif
	goto next;

	/* An entry of the overflow was begun anew: those of its key in the bucket go, established ones once it is one. */
take_over:
	atomic {
		if
		:: j == WAYS && marked -> goto take_all
		:: j == WAYS && !marked -> goto next
		:: else -> x = tag[j]
		fi;
		if
		:: !IS_ENTRY(x) || STATE(x) == CHANGING -> j++; goto take_over
		:: else
		fi
	};
	c = key[j];
	atomic {
		if
		:: c != k || VERSION(tag[j]) != VERSION(x) || !IS_ENTRY(tag[j]) -> c = 0; x = 0; j++; goto take_over
		:: c == k && VERSION(tag[j]) == VERSION(x) && STATE(x) == EST -> marked = true; c = 0; x = 0; j++; goto take_over
		:: tag[j] == x && c == k && STATE(x) != EST -> d_step { c = 0; lose(j); tag[j] = VERSION(x); x = 0; j++ }; goto take_over
		:: else -> c = 0; goto take_over
		fi
	};
take_all:
	atomic {
		j = 0;
		y = tag[i];
		if
		:: VERSION(y) != v || !IS_LIVE(y) -> goto next
		:: else -> tag[i] = WITH(y, EST); establish(k, age[i] == FRESH); t = 0; y = 0; w = NONE; goto recheck
		fi
	};
	goto next;

out:
	skip
}

/* The rules stop letting flow k begin, then the agent cuts it. */
proctype cut(byte k)
{
	byte w, t, c, before[CPUS];
	bool first = true, found;
	byte g;

	allowed[k] = false;
scan:
	if
	:: w == WAYS -> goto scan_overflow
	:: else
	fi;
	t = tag[w];
	if
	:: !IS_LIVE(t) -> w++; goto scan
	:: else
	fi;
	c = key[w];
	atomic {
		if
		:: VERSION(tag[w]) != VERSION(t) || c != k -> w++; c = 0; t = 0; goto scan
		:: else -> c = 0
		fi
	};
	atomic {
		if
#if BROKEN == CUT_BY_STORE
		:: true ->
#else
		:: tag[w] == t ->
#endif
			d_step {
				assert(key[w] == k); /* own */
				if
				:: STATE(t) == EST -> stop(k)
				:: else
				fi;
				tag[w] = WITH(t, DEAD);
				found = true;
				t = 0;
				w++
			}
		:: else /* once more */
		fi
	};
	goto scan;
scan_overflow:
	atomic {
		w = 0;
		t = tag[BESIDE(k)];
		if
		:: STATE(t) == CHANGING -> t = 0; found = true; goto scanned
		:: !IS_LIVE(t) -> t = 0; goto scanned
		:: else
		fi
	};
	atomic {
		if
#if BROKEN == REMOVE_BY_KEY
		:: true ->
#else
		:: tag[BESIDE(k)] == t ->
#endif
			d_step {
				if
				:: STATE(t) == EST -> stop(k)
				:: else -> unwatch(k)
				fi;
				found = true
			};
			if
			:: tag[BESIDE(k)] = WITH(t, DEAD); t = 0; goto scanned /* who began it is remembered */
			:: tag[BESIDE(k)] = VERSION(t) | BUSY; t = 0
			fi
		:: else -> t = 0; goto scan_overflow
		fi
	};
	tag[BESIDE(k)] = VERSION(tag[BESIDE(k)]);
scanned:
#if BROKEN == TWO_SCANS
	if
	:: first
#else
	if
	:: first || found
#endif
		->
		d_step {
			first = false;
			found = false;
			for (g : 0 .. CPUS - 1) {
				before[g] = (inside[g] -> left[g] : 255)
			};
			g = 0
		};
		do
		:: g < CPUS -> atomic { (before[g] == 255 || !inside[g] || left[g] != before[g]) -> before[g] = 0; g++ }
		:: else -> break
		od;
		g = 0;
		goto scan
	:: else
	fi;
	d_step {
		gone[k] = true;
		for (g : 0 .. PLACES - 1) {
			assert(!(IS_LIVE(tag[g]) && key[g] == k)) /* what was cut lives on */
		};
		g = 0
	}
}

/* One look at one entry: what a sweep does with each. */
proctype sweep()
{
	byte w, t, g, h;

	atomic {
		if
		:: w = 0
		:: w = 1
#if WAYS > 2
		:: w = 2
#endif
		:: w = BESIDE(1)
		fi;
		t = tag[w];
		if
		:: !IS_ENTRY(t) -> goto out
		:: else -> inside[CPUS] = true
		fi
	};
	if
	:: age[w] >= (STATE(t) == EST -> RECLAIMED : EXPIRED) && STATE(t) != CHANGING ->
		atomic {
			if
#if BROKEN == SWEEP_BY_STORE
			:: true
#elif BROKEN == REMOVE_BY_KEY
			:: w >= WAYS || tag[w] == t
#else
			:: tag[w] == t
#endif
				-> d_step { lose(w); tag[w] = VERSION(t) | (w >= WAYS -> BUSY : EMPTY) }
			:: else -> w = 0
			fi
		};
		if
		:: w >= WAYS -> tag[w] = VERSION(tag[w])
		:: else
		fi
	:: else
	fi;
	d_step { depart(CPUS); t = 0; w = 0 };
out:
	skip
}

/* Time goes by. No program runs for as long as it takes from EXPIRED to OLD, nor does the sweep wait for that long
 * between a look at an entry and what it does.
 */
proctype clock()
{
	byte n, w, g, h;

	do
	:: n < TICKS ->
		atomic {
			if
			:: w = 0
			:: w = 1
#if WAYS > 2
			:: w = 2
#endif
#if WAYS > 3
			:: w = 3
#endif
			:: w = BESIDE(1)
			fi;
			n++;
			d_step {
				/* A copy that has just been made is as old as what it is of. */
				h = 0;
				for (g : 0 .. WAYS - 1) {
					if
					:: w >= WAYS && IS_ENTRY(tag[g]) && key[g] == key[w] && age[g] == FRESH -> h = 1
					:: else
					fi
				};
				g = 0;
				if
				:: h == 1 -> h = 0
				:: h == 0 && IS_ENTRY(tag[w]) && age[w] == FRESH ->
					grow(w, EXPIRED);
					if
					:: STATE(tag[w]) == EST ->
						h = 0;
						for (g : 0 .. PLACES - 1) {
							if
							:: STATE(tag[g]) == EST && key[g] == key[w] && age[g] == FRESH -> h = 1
							:: else
							fi
						};
						if
						:: h == 0 -> alive[key[w]] = false; unwatch(key[w])
						:: else
						fi;
						h = 0
					:: else
					fi
				:: h == 0 && IS_ENTRY(tag[w]) && age[w] == EXPIRED && since[w] == 0 -> grow(w, OLD)
				:: else
				fi;
				g = 0;
				w = 0
			}
		}
	:: else -> break
	od
}

/* An entry from before. */
inline put(w_, k_, s_, a_)
{
	tag[w_] = NEXT | s_;
#ifdef APART
	if
	:: w_ < WAYS -> fingerprint[w_] = k_
	:: else
	fi;
#endif
	key[w_] = k_;
	by[w_] = k_;
	age[w_] = a_;
	if
	:: s_ == EST -> established[k_] = true; alive[k_] = (a_ == FRESH)
	:: else
	fi
}

init
{
	byte n;

	atomic {
		allowed[1] = true;
		allowed[2] = true;
		key[BESIDE(1)] = 1;
		key[BESIDE(2)] = 2;
		/* The bucket as packets find it. */
		if
#if SETUP == 0 || SETUP == 1
		:: skip
		:: put(WAYS - 1, 1, HALF, FRESH)
#endif
#if SETUP == 0 || SETUP == 2
		:: put(0, 1, HALF, FRESH)
#endif
#if SETUP == 0 || SETUP == 3
		:: put(WAYS - 1, 1, EST, FRESH)
		:: put(WAYS - 1, 1, DEAD, FRESH)
#endif
#if SETUP == 0 || SETUP == 4
		:: put(0, 1, HALF, FRESH); put(WAYS - 1, 2, EST, FRESH)
#endif
#if SETUP == 0 || SETUP == 5
		:: put(0, 1, HALF, FRESH); put(WAYS - 1, 2, HALF, FRESH)
		:: put(0, 1, HALF, FRESH); put(WAYS - 1, OTHER, EST, FRESH)
#endif
#if SETUP == 0 || SETUP == 6
		:: overflowed = true; put(BESIDE(1), 1, EST, FRESH)
#endif
#if SETUP == 0 || SETUP == 7
		:: overflowed = true; put(BESIDE(1), 1, DEAD, FRESH)
#endif
#if SETUP == 0 || SETUP == 8
		:: overflowed = true; put(BESIDE(1), 1, DEAD, FRESH); put(0, 1, HALF, FRESH); put(WAYS - 1, OTHER, EST, FRESH)
#endif
		fi;
		for (n : 0 .. CPUS - 1) {
			left[n] = (n == CPUS - 1 -> LAST : PACKETS)
		};
		for (n : 0 .. CPUS - 1) {
			run cpu(n)
		};
		n = 0;
#ifdef SWEEP
		run clock();
		run sweep();
#endif
#ifdef CUT
		run cut(1);
#endif
		skip
	}
}
