/* Claim and take back: a worker goes through chunks of tasks, and the caller takes back what has not begun, whenever it
 * likes, without the worker's help. Every task is run at most once, and belongs to exactly one side in the end.
 *
 * Shared, for each slot of the ring of chunks: `limit` (written by both) and `finished` (by the worker); for the ring
 * `passed` (by the worker): how many chunks it has gone past.
 *
 *   caller, before it sends a chunk:  limit = TASKS; finished = NOT_BEGUN
 *   worker, to begin task p:          finished = p (a plain store); then l = limit
 *                                       p < l         it runs the task
 *                                       l == ASKING   it swaps ASKING for ENDED(p): done, the tasks from p on are the
 *                                                     caller's; or the caller was quicker: it reads limit AGAIN
 *                                       otherwise     the chunk ends here, and p == l
 *   caller, to leave `keep` that have not begun:
 *                                     old = limit; ENDED, or 0: there is nothing to take
 *                                     limit = ASKING (an exchange), then a barrier on the worker (membarrier)
 *                                     v = min(old, finished + 1 + keep)
 *                                     it swaps ASKING for v; if it cannot, limit is ENDED(p), and v = p
 *                                     v .. old-1 are the caller's
 *   caller, after a death:            what is `own`ed is limit, or p of ENDED(p); finished == NOT_BEGUN: nothing began;
 *                                     finished == own: all done; else the tasks before finished are done, that at
 *                                     finished is charged with the death, and those behind it are given to others.
 *
 * A store of the worker waits in a buffer of its processor, in order, while its loads go to memory: so a load may be
 * done before a store that stands in front of it. Atomic operations of the worker empty the buffer first, the caller's
 * barrier empties it from outside, and so does a death. The worker has no fence of its own.
 *
 * What the model has shown, beyond that it holds:
 *  - After a swap that failed, the worker must read limit in a loop: ASKING can be there again, from the next take
 *    back. "Run if p < limit, else end" loses the tasks p .. v-1 (MUTANT_ENDS_WHEN_ASKED_AGAIN).
 *  - finished != NOT_BEGUN does not say that a task has begun: a worker passes a revoked chunk with finished == 0 and
 *    limit == 0, and a refused task with finished == p == limit or limit == ENDED(p). A death, a deadline and the task
 *    in hand must all be decided by own > finished (MUTANT_CHARGES_REFUSED).
 *  - A worker that dies between finished = p and its look at limit is charged with p, though p never ran. It cannot be
 *    told from one that died in p, and charging it is what keeps "at most once". Never more than one task is charged.
 *    So is one that completed p and dies before finished = p+1: whether p's result is there must be looked up first.
 *  - finished must be read after ASKING is written, and again for each take back; a value from before is too low.
 *  - A slot is free when `passed` says so, not when all of its tasks are the caller's (MUTANT_REUSES_EARLY), and
 *    `passed` must be stored after the last `finished` of the chunk (MUTANT_PASSES_TOO_EARLY).
 *  - NOT_BEGUN and ASKING are both -1, in different words: that is harmless.
 *
 * Not modelled: the caller's stores before it sends (the system call orders them), processors that reorder stores (the
 * code needs release for `finished` and `passed`, acquire for `limit`), and results on their way.
 */

#ifndef TASKS
#define TASKS 3   /* of a chunk */
#endif
#ifndef CHUNKS
#define CHUNKS 1  /* that are sent, one after the other */
#endif
#ifndef SLOTS
#define SLOTS 1   /* of the ring */
#endif
#ifndef TAKES
#define TAKES 3   /* times the caller takes something back */
#endif
#define BUFFER 2  /* stores that wait in the worker's processor */

#define NOT_BEGUN (-1)
#define ASKING (-1)
#define ENDED(p) (-((p) + 2))
#define OWNED(l) ((l) >= 0 -> (l) : -((l) + 2))

/* ---- memory */

short limit[SLOTS];
short finished[SLOTS];
byte passed;

#define PASSED SLOTS /* the cell behind the last `finished` */
chan stores = [BUFFER] of {byte, short};
chan socket = [CHUNKS] of {byte};
hidden byte cell;
hidden short value;

inline to_memory() {
  if
  :: cell == PASSED -> passed = value
  :: else -> finished[cell] = value
  fi
}

/* The stores that wait become visible. */
inline drain() {
  do
  :: nempty(stores) -> stores?cell, value; to_memory()
  :: empty(stores) -> break
  od
}

active proctype processor() {
end:
  do
  :: d_step { stores?cell, value -> to_memory() }
  od
}

/* ---- what becomes of each task: nobody in the model reads this to decide anything */

mtype = {nobodys, done, taken, charged, given};
mtype fate[CHUNKS * TASKS] = nobodys;
bit started[CHUNKS * TASKS], completed[CHUNKS * TASKS];
bool dying, died;

inline settle(task, as) {
  assert(fate[task] == nobodys);
  fate[task] = as;
  assert(as == done || as == charged || !started[task]);
  assert(as != done || completed[task])
}

/* ---- the worker */

active proctype worker() {
  byte at, slot, p, refusals;
  short l;
  {
    do
    :: at == CHUNKS -> break
    :: else ->
      d_step { socket?eval(at); slot = at % SLOTS; p = 0; refusals = 0 }
begins:
      stores!slot, p;
decide:
      atomic {
        l = limit[slot];
        assert(l >= ASKING)
      }
      if
      :: p < l -> goto runs
      :: l == ASKING ->
        d_step {
          drain();
          if
          :: limit[slot] == ASKING -> limit[slot] = ENDED(p); l = ENDED(p)
          :: else -> refusals++; assert(refusals <= TAKES) /* bounded by what the caller does */
          fi
        }
        if
        :: l == ENDED(p) -> goto over
#ifdef MUTANT_RUNS_AFTER_FAILED_SWAP
        :: else -> goto runs
#elif defined(MUTANT_ENDS_WHEN_ASKED_AGAIN)
        :: else -> l = limit[slot];
          if
          :: p < l -> goto runs
          :: else -> goto over
          fi
#else
        :: else -> goto decide
#endif
        fi
      :: else -> assert(p == l); goto over
      fi;
runs:
      atomic {
        assert(!started[at * TASKS + p]);         /* at most once */
        assert(fate[at * TASKS + p] == nobodys);  /* not the caller's */
        started[at * TASKS + p] = 1
      }
#ifdef MUTANT_PASSES_TOO_EARLY
      if
      :: p == TASKS - 1 -> stores!PASSED, at + 1
      :: else
      fi;
#endif
      d_step {
        completed[at * TASKS + p] = 1;
        p++
      }
      goto begins;
over:
      stores!PASSED, at + 1;
      at++
    od
  } unless { dying };
  if
  :: at < CHUNKS -> d_step { drain(); died = true }
  :: else
  fi
}

/* Kills the worker at any moment, or comes too late. */
active proctype killer() {
  dying = true
}

/* ---- the caller */

active proctype caller() {
  byte sent, settled, takes, c, s, i, keep, charges;
  short owned[CHUNKS], old, l, b, v;

  do
  :: sent < CHUNKS && !died && (sent < SLOTS || passed > sent - SLOTS
#ifdef MUTANT_REUSES_EARLY
                                || owned[sent - SLOTS] == 0
#endif
                               ) ->
    d_step {
      if
      :: sent >= SLOTS -> /* the slot's old chunk was passed: all that was left to the worker is done */
        c = sent - SLOTS;
        l = limit[c % SLOTS];
        assert(OWNED(l) == owned[c]);
        for (i : 0 .. TASKS - 1) {
          if
          :: i < owned[c] -> settle(c * TASKS + i, done)
          :: else -> assert(fate[c * TASKS + i] == taken)
          fi
        }
        settled++
      :: else
      fi
    }
    limit[sent % SLOTS] = TASKS;
    finished[sent % SLOTS] = NOT_BEGUN;
    d_step { owned[sent] = TASKS; socket!sent; sent++ }

  :: takes < TAKES && settled < sent ->
    takes++;
    select(c : settled .. sent - 1);
    select(keep : 0 .. 1);
    s = c % SLOTS;
    old = limit[s];
    if
    :: old <= 0
    :: else ->
#ifdef MUTANT_READS_BEFORE_ASKING
      b = finished[s] + 1;
#endif
      limit[s] = ASKING;
#ifndef MUTANT_NO_BARRIER
      d_step { drain() }
#endif
#ifdef MUTANT_FINISHED_FOR_BEGUN
      b = (finished[s] == NOT_BEGUN -> 0 : finished[s]);
#elif !defined(MUTANT_READS_BEFORE_ASKING)
      b = finished[s] + 1;
#endif
#ifdef MUTANT_KEEPS_FROM_ZERO
      v = (keep < old -> keep : old);
#else
      v = (b + keep < old -> b + keep : old);
#endif
      d_step {
#ifdef MUTANT_PLAIN_STORE
        limit[s] = v;
#else
        if
        :: limit[s] == ASKING -> limit[s] = v
        :: else -> assert(limit[s] <= ENDED(0)); v = OWNED(limit[s])
        fi;
#endif
        assert(v <= old && old == owned[c]);
        for (i : 0 .. TASKS - 1) {
          if
          :: i >= v && i < old -> settle(c * TASKS + i, taken)
          :: else
          fi
        }
        owned[c] = v
      }
    fi

  :: (sent == CHUNKS && passed == CHUNKS) || died -> break
  od;

  /* The end, or the worker's death: what is not settled yet. */
  skip;
  d_step {
    for (c : settled .. sent - 1) {
      s = c % SLOTS;
      v = OWNED(limit[s]);
      b = finished[s];
      assert(limit[s] != ASKING && v == owned[c] && b <= v);
      assert(died || b == v);
      for (i : 0 .. TASKS - 1) {
        if
        :: i >= v -> assert(fate[c * TASKS + i] == taken && !started[c * TASKS + i])
        :: i < v && i < b -> settle(c * TASKS + i, done)
#ifdef MUTANT_CHARGES_REFUSED
        :: i < v && i > b -> settle(c * TASKS + i, given)
        :: i < v && i == b -> skip
#else
        :: i < v && i > b -> settle(c * TASKS + i, given)
        :: i < v && i == b -> settle(c * TASKS + i, charged); charges++
#endif
        fi
      }
#ifdef MUTANT_CHARGES_REFUSED
      if
      :: died && b != NOT_BEGUN && b < TASKS && fate[c * TASKS + b] != done ->
        settle(c * TASKS + b, charged); charges++
      :: else
      fi;
#endif
    }
    assert(charges <= 1);
    for (i : 0 .. sent * TASKS - 1) { assert(fate[i] != nobodys) }
  }
}
