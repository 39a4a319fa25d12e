# The heir is told to stop right after it was announced: the announcement is taken
# back, and nothing stopped.
fleet
shards s1 s2
start a
run 1s
start b
run 300ms
stop b
run 2s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.30s  b is dead
   1.31s  b is over: <nil>
   1.54s  a: withdraw s1: of a, possession 1
  worker a is running
  worker b is dead
  lease s1: of a, possession 1
  lease s2: of a, possession 2

# It dies when it is announced. Nobody can know; the lease is given to it, and is
# silent until it is declared dead.
fleet lease=2s
shards s1 s2
start a
run 1s
start b
run 300ms
crash b
run 4s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   1.67s  a: give s1: of b, possession 2
   3.33s  a declares b dead
   3.35s  a: take s1: of a, possession 3, 1 takeovers
   3.36s  a starts s1, dead from b, possession 3
  worker a is running
  worker b is dead
  lease s1: of a, possession 3, 1 takeovers
  lease s2: of a, possession 2

# The function returned before that was known: it starts anew.
fleet lease=2s
shards s1 s2
start a
slow a
run 1s
start b
run 700ms
crash b
close a s1 drained
run 4s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   1.71s  a: give s1: of b, possession 2
   3.58s  a declares b dead
   3.60s  a: take s1: of a, possession 3, 1 takeovers
   3.61s  a starts s1, dead from b, possession 3
  worker a is running
  worker b is dead
  lease s1: of a, possession 3, 1 takeovers
  lease s2: of a, possession 2

# The heir is seen dead while the shard drains.
fleet
shards s1 s2
start a
slow a
run 1s
start b
run 1s
crash b
run 5s
close a s1 drained
run 1s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   6.08s  a declares b dead
   7.00s  a: take s1: of a, possession 2
   7.01s  a starts s1, again from a, possession 2
  worker a is running
  worker b is dead
  lease s1: of a, possession 2
  lease s2: of a, possession 2

# The heir dies when the lease is its own, before it has taken it.
fleet
shards s1 s2
start a
run 1s
start b
hold b take
run 1s
crash b
run 6s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   1.67s  a: give s1: of b, possession 2
   1.70s  b: its take of s1 has no answer yet
   6.08s  a declares b dead
   6.11s  a: take s1: of a, possession 3, 1 takeovers
   6.11s  a starts s1, dead from b, possession 3
  worker a is running
  worker b is dead
  lease s1: of a, possession 3, 1 takeovers
  lease s2: of a, possession 2

# And when it has taken it.
fleet
shards s1 s2
start a
run 1s
start b
lose b take applied
run 1s
crash b
run 6s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   1.67s  a: give s1: of b, possession 2
   1.71s  b: take s1: of b, possession 3
   2.20s  b: no answer to its take of s1
   6.08s  a declares b dead
   6.11s  a: take s1: of a, possession 4, 1 takeovers
   6.11s  a starts s1, dead from b, possession 4
  worker a is running
  worker b is dead
  lease s1: of a, possession 4, 1 takeovers
  lease s2: of a, possession 2

# The heir stops: it does not want the lease any more.
fleet
shards s1 s2
start a
slow a
run 1s
start b
run 1s
stop b
run 1s
close a s1 drained
run 1s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.28s  a: announce s1: of a, heir b, possession 1
   1.67s  a drains s1 to balance
   2.00s  b is dead
   2.01s  b is over: <nil>
   3.00s  a: take s1: of a, possession 2
   3.01s  a starts s1, again from a, possession 2
  worker a is running
  worker b is dead
  lease s1: of a, possession 2
  lease s2: of a, possession 2
