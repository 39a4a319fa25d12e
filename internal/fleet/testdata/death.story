# A worker is paused for longer than the lease time. The others declare it dead;
# it finds out from its own next heartbeat, and has stopped before that.
fleet
shards s1 s2
start a b
run 3s
pause a
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
   6.61s  b: take s2: of b, possession 2, 1 takeovers
   6.61s  b starts s2, dead from a, possession 2

resume a
run 1s
rows
----
   9.00s  a loses s2
   9.01s  a: its heartbeat is refused
   9.01s  a is over: declared dead, by another worker or an administrator
  worker a is dead
  worker b is running
  lease s1: of b, possession 2
  lease s2: of b, possession 2, 1 takeovers

# A heartbeat comes just before its sender is declared dead: it lives.
fleet
shards s1 s2
start a b
run 3s
hold a beat
run 3500ms
let a
run 1s
rows
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
   3.31s  a: its beat has no answer yet
   5.91s  a loses s2
   6.71s  a: take s2: of a, possession 2
   6.72s  a starts s2, again from a, possession 2
  worker a is running
  worker b is running
  lease s1: of b, possession 2
  lease s2: of a, possession 2

# It comes just after: it is refused.
fleet
shards s1 s2
start a b
run 3s
hold a beat
run 6s
let a
run 1s
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2
   3.31s  a: its beat has no answer yet
   5.91s  a loses s2
   6.58s  b declares a dead
   6.61s  b: take s2: of b, possession 2, 1 takeovers
   6.61s  b starts s2, dead from a, possession 2
   6.78s  a is over: declared dead, by another worker or an administrator
   9.01s  a: its heartbeat is refused

# Whoever was paused itself looks again before it declares anybody.
fleet
shards s1 s2
start a b
run 3s
pause a
run 1900ms
resume a
run 5s
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2

# Looks that are behind show nobody dead too early.
fleet
shards s1 s2
start a b
run 3s
behind 2s
run 10s
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2

# A row is deleted under a living worker: the others wait until it must have
# noticed.
fleet
shards s1 s2
start a b
run 3s
pause a
delete a
run 3s
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s2: of a, possession 1
   0.09s  b: create s1: of b, possession 2
   0.09s  a starts s2, free, possession 1
   0.09s  b starts s1, free, possession 2

run 3s
resume a
run 1s
----
   7.29s  b: take s2: of b, possession 2, 1 takeovers
   7.29s  b starts s2, dead from a, possession 2
   9.00s  a loses s2
   9.01s  a: its heartbeat is refused
   9.01s  a is over: declared dead, by another worker or an administrator

# Dead rows are buried.
run 5s
rows
----
  worker b is running
  lease s1: of b, possession 2
  lease s2: of b, possession 2, 1 takeovers
