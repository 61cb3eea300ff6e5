/* Leadership: of all threads that have to do with a pool, one at a time leads: it waits in the engine and deals with
 * what comes, for everybody. Consumers that wait for a result lead; while none does, the attendant stands in once its
 * bell has rung. The README beside this tells which name stands for what in the code.
 *
 * Whatever a thread does between locking the mutex and giving it up again is one step here: a consumer that falls
 * `asleep` gives it up. Results come when they like, or never (a task without an end). There is no time: a bell that
 * is set rings some day, and a wait in the engine has no deadline, since one would only hide that somebody was
 * forgotten. So the question is what holds once nothing more can happen; see `verdict`.
 *
 * What the model has shown, beyond that it holds:
 *  - Who submits while nobody leads must set the bell. A leader sets it when it leaves work behind, but a consumer can
 *    submit after that, or find its results there without leading, and go away (MUTANT_SUBMIT_RINGS_NOBODY).
 *  - An attendant that stands in hears its bell in the engine's wait, where nobody sees that it rang. If it leaves with
 *    `bell_set` and nothing outstanding, no leader ever sets the bell again (MUTANT_BELL_STAYS_SET). So it clears
 *    `bell_set` when it stops standing in, as it does when it wakes.
 */

#ifndef ROUNDS
#define ROUNDS 2 /* tasks of the first consumer, one after the other; the second has one */
#endif
#define CONSUMERS 2
#define CLOSER CONSUMERS

/* ---- under the mutex */
bool leading, standing_in, closed, bell_set;
byte waiting, outstanding, ready[CONSUMERS];
bool asleep[CONSUMERS + 1]; /* until somebody notifies */

/* ---- in the engine */
byte at_work[CONSUMERS], come[CONSUMERS];
byte collected[CONSUMERS]; /* by the leader, to be told under the mutex */
bool in_engine;            /* the leader waits there */
bool interrupted, attendant_interrupted; /* counters that stay readable until they are cleared */
bool bell_runs, bell_rang;               /* the bell's timer */
bool led_meanwhile;                      /* since the bell was set */

/* ---- for the verdict */
bool closing, consumer_ended[CONSUMERS], closer_ended, attendant_ended, endless[CONSUMERS];
byte leaders;

inline notify_all() { asleep[0] = false; asleep[1] = false; asleep[CLOSER] = false }

inline notify() {
#ifdef MUTANT_NOTIFIES_ONE
  if
  :: asleep[0] -> asleep[0] = false
  :: asleep[1] -> asleep[1] = false
  :: asleep[CLOSER] -> asleep[CLOSER] = false
  :: !asleep[0] && !asleep[1] && !asleep[CLOSER]
  fi
#else
  notify_all()
#endif
}

inline interrupt() { interrupted = true; attendant_interrupted = true }

inline put_off_bell() {
  if
  :: bell_set && bell_runs /* and long enough */
  :: bell_set = true; bell_runs = true; bell_rang = false; led_meanwhile = false
  fi
}

inline begin_to_lead(attending) {
  assert(!leading && leaders == 0);
  leaders++;
  leading = true;
  standing_in = attending
}

/* Goes to wait in the engine without the mutex: `end_...: !in_engine` follows. */
inline lead(attending) {
  begin_to_lead(attending);
  in_engine = true
}

/* Under the mutex again, with what the engine collected before. */
inline report_and_leave() {
  ready[0] = ready[0] + collected[0];
  ready[1] = ready[1] + collected[1];
  outstanding = outstanding - collected[0] - collected[1];
  collected[0] = 0;
  collected[1] = 0;
  leaders--;
  leading = false;
  led_meanwhile = true;
#ifndef MUTANT_LEAVES_SILENTLY
  if
  :: waiting > 0 -> notify()
  :: else
  fi;
#endif
#ifndef MUTANT_RINGS_NOBODY
  if
#ifdef MUTANT_BELL_STAYS_SET
  :: outstanding > 0 && !bell_set -> put_off_bell()
#else
  :: outstanding > 0 && !bell_set && !standing_in -> put_off_bell()
#endif
  :: else
  fi;
#endif
  standing_in = false
}

proctype consumer(byte me; byte rounds) {
  byte round;
  do
  :: round == rounds -> break
  :: else ->
    atomic { /* submit */
      round++;
      if
      :: closed -> break
      :: else ->
        outstanding++;
        at_work[me]++;
#ifndef MUTANT_SUBMIT_RINGS_NOBODY
        if
        :: !leading && !bell_set -> put_off_bell()
        :: else
        fi
#endif
      fi
    }
    if
    :: goto look
    :: goto away
    fi;
away: /* until the result could be taken */
end_away:
    (ready[me] > 0 || closed);
look: /* take */
    atomic {
      do
      :: ready[me] > 0 || closed -> break
      :: else ->
        if
        :: !leading ->
          lead(false);
end_leads:
          !in_engine;
          report_and_leave()
        :: else ->
#ifndef MUTANT_NO_INTERRUPT
          if
          :: standing_in -> interrupt()
          :: else
          fi;
#endif
          waiting++;
          asleep[me] = true;
end_sleeps:
          !asleep[me];
          waiting--
        fi
      od;
      if
      :: waiting > 0 && !leading -> notify()
      :: else
      fi;
      if
      :: ready[me] > 0 -> ready[me]--
      :: else -> break /* closed before it came */
      fi
    }
  od;
  consumer_ended[me] = true
}

active proctype attendant() {
end_attends:
  bell_rang || attendant_interrupted ->
  atomic {
    bell_rang = false;
    attendant_interrupted = false
  }
  atomic {
    if
    :: closed -> goto ended
    :: else
    fi;
    bell_set = false;
    if
    :: outstanding == 0 || leading -> goto end_attends /* the leader rings when it leaves */
    :: else
    fi;
    if
    :: waiting > 0 || led_meanwhile -> goto progress_too_early
    :: waiting == 0 /* long enough after somebody led */
    fi;
    do
    :: closed || outstanding == 0 || waiting > 0 || leading -> break
    :: else ->
      lead(true);
end_stands_in:
      !in_engine;
      report_and_leave()
    od;
    if
    :: closed -> goto ended
    :: else
    fi;
#ifndef MUTANT_BELL_STAYS_SET
    bell_set = false;
#endif
    if
    :: outstanding > 0 -> put_off_bell()
    :: else
    fi;
    goto end_attends
  }
progress_too_early: /* for one that leads, or is about to, has that long */
  atomic {
    if
    :: outstanding > 0 -> put_off_bell()
    :: else
    fi;
    goto end_attends
  }
ended:
  attendant_ended = true
}

proctype closer() {
  atomic {
    closing = true;
    closed = true;
    notify_all();
    do
    :: !leading -> break
    :: else ->
      interrupt();
      waiting++;
      asleep[CLOSER] = true;
end_sleeps:
      !asleep[CLOSER];
      waiting--
    od;
    begin_to_lead(false)
  }
  interrupt();
end_joins:
  attendant_ended;
  atomic {
    outstanding = 0;
    leaders--;
    leading = false;
    notify_all();
    closer_ended = true
  }
}

/* Runs the tasks, sends results, rings, and lets the leader return. */
active proctype engine() {
end:
  do
  :: atomic { at_work[0] > 0 -> at_work[0]--; if :: come[0]++ :: endless[0] = true fi }
  :: atomic { at_work[1] > 0 -> at_work[1]--; if :: come[1]++ :: endless[1] = true fi }
  :: atomic { bell_runs -> bell_runs = false; bell_rang = true }
  :: atomic {
      in_engine && (come[0] > 0 || come[1] > 0 || interrupted ||
                    standing_in && (attendant_interrupted || bell_rang)) ->
      collected[0] = come[0];
      collected[1] = come[1];
      come[0] = 0;
      come[1] = 0;
      interrupted = false;
      if
      :: standing_in -> attendant_interrupted = false; bell_rang = false
      :: else
      fi;
      in_engine = false
    }
  od
}

/* Once nothing more can happen: */
active proctype verdict() {
  timeout ->
  d_step {
    /* A shutdown ends everything, tasks without an end too. */
    assert(!closing || closer_ended && attendant_ended && consumer_ended[0] && consumer_ended[1]);
    /* A consumer that has not ended waits for what never comes, not for what is there. */
    assert(consumer_ended[0] || endless[0] && ready[0] == 0);
    assert(consumer_ended[1] || endless[1] && ready[1] == 0);
    /* While work is outstanding somebody leads, and not the attendant while a consumer waits. */
    assert(outstanding == 0 || leading);
    assert(waiting == 0 || !standing_in)
  }
}

init {
  atomic {
    run consumer(0, ROUNDS);
    run consumer(1, 1);
    if
    :: run closer()
    :: skip
    fi
  }
}
