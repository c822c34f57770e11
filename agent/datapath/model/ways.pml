/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bucket of the connection table, ../bpf/entry.h and bucket.h and overflow.h beside it, as a model for spin: CPUS processors handle PACKETS packets
 * each, of two flows, while time goes by and the agent sweeps (SWEEP) or cuts (CUT). README.md says what is modelled
 * and what is not. Whatever is not in one atomic or d_step is a step of its own, that others may come between.
 *
 * What must hold is asserted where it could break:
 *   lose      a live established flow never leaves the table
 *   missed    … nor does a packet ever miss it
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
#define NONE WAYS

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
#define ONE_READ	12 /* a reader whose candidate has gone does not look again */
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

/* A tag: what it is, in the order of rank; a flag; a version. Fingerprints are left out, as if all were equal. */
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
#define WITH(t, s) (((t) & ~7) | (s))
#define IS_ENTRY(t) (STATE(t) > BUSY)
#define IS_LIVE(t) (STATE(t) == HALF || STATE(t) == EST)

#define FRESH 0
#define EXPIRED 1 /* for packets it is not there */
#define OLD 2	  /* … and others may have its way */
#if BROKEN == NO_MARGIN
#define RECLAIMED EXPIRED
#else
#define RECLAIMED OLD
#endif

#define ABSENT 0
#define THERE 2 /* BUSY or THERE */

byte tag[WAYS];
byte key[WAYS], by[WAYS], age[WAYS]; /* by is of the key's flow: whose rules, counters and so on */
bool overflowed;
byte overflow[4]; /* by key: the kernel's map, whose operations are atomic */
bool allowed[4];  /* the rules let the flow begin */

/* What is only known here. */
bool established[4]; /* by key: a packet has made it so, and none has ended it */
bool alive[4];	     /* … and it is not past its timeout */
bool gone[4];	     /* cut, and no rule lets it begin */
bool refused;	     /* the overflow was, once */
byte watch[CPUS];    /* the key of an established flow that the lookup under way must find */
byte since[WAYS];    /* CPUS, as bits, whose packet is older than the way's age */
byte left[CPUS];
bool inside[CPUS + 1]; /* the last is the sweep, between a look and what it does */
byte flow[CPUS]; /* whose packet is inside */
bool late[CPUS];

/* The way w is that old from now on. */
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
	for (g : 0 .. WAYS - 1) {
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
	if
	:: STATE(tag[w_]) == EST && established[key[w_]] && overflow[key[w_]] != THERE ->
		h = 0;
		for (g : 0 .. WAYS - 1) {
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
			if
			:: overflow[f] == THERE -> h = 1
			:: else
			fi;
			for (g : 0 .. WAYS - 1) {
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
	bool changed;	 /* what was looked at became something else */
	bool marked;	 /* what moves out was established in its way */
	bool buffered;	 /* STORE_BUFFER */
	byte left_;	 /* candidates, as bits */
	byte w, t, u, a, b, c; /* the way looked at, its tag, the tag again, fields */
	byte stale, st;	 /* the way of an entry of this flow that is past, and its tag */
	byte i, v, j, x, y; /* own new way and its version; another; the tags of both */
	byte f, g, h;

next:
	atomic {
		d_step {
			k = 0; answer = 0; ends = 0; may = 0; w = 0; t = 0; u = 0; a = 0; b = 0; c = 0; marked = 0;
			stale = NONE; st = 0; i = NONE; j = 0; v = 0; x = 0; y = 0; changed = 0; left_ = 0;
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
		if
		:: established[k] && alive[k] -> watch[me] = k
		:: else
		fi
	};
#if BROKEN == OVERFLOW_FIRST
	c = (overflowed && overflow[k] == THERE);
	may = (c -> may | 2 : may);
#endif

	/* ---- lookup ---- */
again:
	atomic {
		d_step {
			changed = false;
			left_ = 0;
			for (g : 0 .. WAYS - 1) {
				if
				:: tag[g] != VERSION(tag[g]) -> left_ = left_ | (1 << g)
				:: else
				fi
			};
			g = 0;
			w = 0
		}
	};
look:
	atomic {
		if
		:: w == WAYS && changed && BROKEN != ONE_READ -> goto again
		:: w == WAYS && !(changed && BROKEN != ONE_READ) -> goto look_overflow
		:: w < WAYS && !(left_ & (1 << w)) -> w++; goto look
		:: else
		fi
	};
#if BROKEN == KEY_FIRST
	d_step { b = by[w]; c = key[w] };
#endif
	atomic {
		t = tag[w];
		if
		:: STATE(t) == EMPTY -> changed = true; t = 0; w++; goto look
		:: STATE(t) == BUSY -> t = 0; w++; goto look
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
		:: VERSION(u) != VERSION(t) || !IS_ENTRY(u) -> changed = true; goto not_it
		:: c != k -> goto not_it
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
	c = (may >= 2 -> THERE : ABSENT);
#else
	if
	:: !overflowed -> goto missed
	:: else
	fi;
	c = overflow[k];
#endif
	atomic {
		if
		:: c == THERE ->
			if
			:: ends && overflow[k] == THERE -> d_step { overflow[k] = ABSENT; stop(k) } /* its own tag says dead */
			:: else
			fi;
			goto next
		:: else -> c = 0
		fi
	};
missed:
	atomic {
		w = 0; a = 0; b = 0; c = 0; u = 0; t = 0;
		assert(watch[me] == 0); /* missed: a packet of a live established flow does not find it */
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
		if
		:: overflow[k] != ABSENT -> goto next /* another CPU moves it */
		:: overflow[k] == ABSENT -> overflow[k] = BUSY
		:: overflow[k] == ABSENT -> refused = true; goto next
		fi
	};
#if BROKEN == EMPTY_FIRST
	if
	:: tag[w] == t -> tag[w] = VERSION(t)
	:: else
	fi;
#endif
	x = tag[w];
	b = by[w];
	atomic {
		u = tag[w];
#if BROKEN != NO_COPY_CHECK && BROKEN != EMPTY_FIRST
		if
		:: VERSION(x) != VERSION(t) || VERSION(u) != VERSION(t) || !IS_LIVE(x) || !IS_ENTRY(u) || STATE(u) == CHANGING ->
			overflow[k] = ABSENT;
			goto next
		:: else
		fi;
#endif
		assert(b == k); /* accept: the copy is of another flow */
		b = 0; u = 0; x = 0
	};
	d_step {
		overflow[k] = THERE;
		establish(k, true)
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
rescan:
	atomic {
		if
		:: j == WAYS -> goto rescan_overflow
		:: j == i -> j++; goto rescan
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
		:: STATE(x) < STATE(y) || STATE(x) == STATE(y) && i < j
#endif
			-> c = i
		:: else -> c = j
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
	if
	:: overflow[k] == THERE
	:: else -> goto next
	fi;
yield_to_overflow:
	atomic {
		t = tag[i];
		if
		:: VERSION(t) != v || !IS_ENTRY(t) -> goto next
		:: else
		fi
	};
	atomic {
		if
		:: tag[i] == t -> d_step { lose(i); tag[i] = VERSION(t) }; goto next
		:: else -> goto yield_to_overflow
		fi
	};
#endif
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
		t = 0;
		if
		:: overflow[k] == THERE -> overflow[k] = ABSENT; found = true; stop(k)
		:: else
		fi
	};
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
		for (g : 0 .. WAYS - 1) {
			assert(!(IS_LIVE(tag[g]) && key[g] == k)) /* what was cut lives on */
		};
		assert(overflow[k] != THERE);
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
#else
			:: tag[w] == t
#endif
				-> d_step { lose(w); tag[w] = VERSION(t) }
			:: else
			fi
		}
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
			fi;
			n++;
			d_step {
				if
				:: IS_ENTRY(tag[w]) && age[w] == FRESH ->
					grow(w, EXPIRED);
					if
					:: STATE(tag[w]) == EST && overflow[key[w]] != THERE ->
						h = 0;
						for (g : 0 .. WAYS - 1) {
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
				:: IS_ENTRY(tag[w]) && age[w] == EXPIRED && since[w] == 0 -> grow(w, OLD)
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
		:: overflowed = true; overflow[1] = THERE; established[1] = true; alive[1] = true
#endif
		fi;
		for (n : 0 .. CPUS - 1) {
			left[n] = PACKETS
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
