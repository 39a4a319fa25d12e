# Answers are lost. A Take that was not done:
fleet
shards s1
start a
run 1s
stop a
run 1s
start b
lose b take
run 2s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   1.00s  a drains s1 to stop
   1.00s  a is stopping
   1.00s  a: give s1: free, possession 2
   1.05s  a is dead
   1.06s  a is over: <nil>
   2.02s  b is joining
   2.06s  b is running
   2.58s  b: no answer to its take of s1
   2.66s  b: take s1: of b, possession 3
   2.67s  b starts s1, free, possession 3

# One that was done: the lease is taken anew.
stop b
run 1s
start c
lose c take applied
run 2s
----
   4.00s  b drains s1 to stop
   4.00s  b is stopping
   4.00s  b: give s1: free, possession 4
   4.05s  b is dead
   4.06s  b is over: <nil>
   5.01s  c is joining
   5.07s  c is running
   5.08s  c: take s1: of c, possession 5
   5.58s  c: no answer to its take of s1
   5.59s  c: take s1: of c, possession 6
   5.60s  c starts s1, free, possession 6

# A Give that was not done, and one that was:
lose c give
stop c
run 2s
start d
run 1s
lose d give applied
stop d
run 2s
rows
----
   7.00s  c drains s1 to stop
   7.00s  c is stopping
   7.50s  c: no answer to its give of s1
   7.58s  c: give s1: free, possession 7
   7.59s  c is dead
   7.59s  c is over: <nil>
   9.02s  d is joining
   9.06s  d is running
   9.09s  d: take s1: of d, possession 8
   9.09s  d starts s1, free, possession 8
  10.00s  d drains s1 to stop
  10.01s  d is stopping
  10.01s  d: give s1: free, possession 9
  10.50s  d: no answer to its give of s1
  10.52s  d is dead
  10.52s  d is over: <nil>
  worker a is dead
  worker b is dead
  worker c is dead
  worker d is dead
  lease s1: free, possession 9

# Announcements:
fleet
shards s1 s2
start a
run 1s
lose a announce
start b
run 3s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a: create s2: of a, possession 2
   0.09s  a starts s1, free, possession 1
   0.09s  a starts s2, free, possession 2
   1.01s  b is joining
   1.06s  b is running
   1.78s  a: no answer to its announce of s1 to b
   1.86s  a: announce s1: of a, heir b, possession 1
   2.24s  a drains s1 to balance
   2.25s  a: give s1: of b, possession 2
   2.31s  b: take s1: of b, possession 3
   2.31s  b starts s1, handoff from a, possession 3

fleet
shards s1 s2
start a
run 1s
lose a announce applied
start b
run 3s
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
   1.78s  a: no answer to its announce of s1 to b
   2.17s  a drains s1 to balance
   2.17s  a: give s1: of b, possession 2
   2.21s  b: take s1: of b, possession 3
   2.21s  b starts s1, handoff from a, possession 3

# Withdrawals:
fleet lease=2s
shards s1 s2
start a
run 1s
start b
run 350ms
slow a
crash b
lose a withdraw
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
   3.33s  a declares b dead
  worker a is running
  worker b is dead
  lease s1: of a, heir b, possession 1
  lease s2: of a, possession 2

fleet lease=2s
shards s1 s2
start a
run 1s
start b
run 350ms
slow a
crash b
lose a withdraw applied
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
   3.33s  a declares b dead
  worker a is running
  worker b is dead
  lease s1: of a, heir b, possession 1
  lease s2: of a, possession 2

# Creations and ends:
fleet
shards s1
start a
lose a create
run 2s
lose a end
lose a create applied
close a s1 end s2<s1
run 2s
lose a end applied
close a s2 end s3<s2
run 2s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.58s  a: no answer to its create of s1 to a
   0.66s  a: create s1: of a, possession 1
   0.67s  a starts s1, free, possession 1
   2.00s  a: create s2: free, possession 2
   2.50s  a: no answer to its create of s2
   3.01s  a: no answer to its end of s1
   3.09s  a: end s1: ended, possession 1
   3.10s  a: take s2: of a, possession 3
   3.10s  a starts s2, free, possession 3
   4.00s  a: create s3: free, possession 4
   4.01s  a: end s2: ended, possession 3
   4.51s  a: no answer to its end of s2
   4.53s  a: take s3: of a, possession 5
   4.53s  a starts s3, free, possession 5
  worker a is running
  lease s1: ended, possession 1
  lease s2: ended, possession 3
  lease s3: of a, possession 5

# Heartbeats: one is repeated soon. Two thirds of the lease time may go by.
lose a beat
run 2s
lose a beat applied
run 2s
----
   6.67s  a: no answer to its beat
   8.77s  a: no answer to its beat

# The last one:
fleet
shards s1
start a
run 1s
lose a beat
stop a
run 2s
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   1.00s  a drains s1 to stop
   1.00s  a: give s1: free, possession 2
   1.50s  a: no answer to its beat
   1.50s  a is dead
   1.51s  a is over: <nil>

# Death declared, by a write that has no answer:
fleet
shards s1 s2
start a b
run 3s
crash a
lose b declare
run 6s
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
   7.08s  b: no answer to its declare of a
   7.08s  b declares a dead
   7.11s  b: take s2: of b, possession 2, 1 takeovers
   7.11s  b starts s2, dead from a, possession 2

fleet
shards s1 s2
start a b
run 3s
crash a
lose b declare applied
run 6s
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
   6.58s  b declares a dead
   6.84s  b: take s2: of b, possession 2, 1 takeovers
   6.85s  b starts s2, dead from a, possession 2
   7.08s  b: no answer to its declare of a
