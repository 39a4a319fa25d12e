# A shard is split. Its children have leases before it ends.
fleet
shards s1
start a
run 1s
shards s1 s2<s1 s3<s1
close a s1 end s2<s1 s3<s1
run 1s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   1.00s  a: create s2: free, possession 2
   1.00s  a: create s3: free, possession 3
   1.01s  a: end s1: ended, possession 1
   1.04s  a: take s2: of a, possession 3
   1.04s  a: take s3: of a, possession 4
   1.05s  a starts s2, free, possession 3
   1.05s  a starts s3, free, possession 4
  worker a is running
  lease s1: ended, possession 1
  lease s2: of a, possession 3
  lease s3: of a, possession 4

# A merge: the child waits for both its parents.
shards s1 s2<s1 s3<s1 s4<s2,s3
close a s2 end s4<s2,s3
run 1s
close a s3 end s4<s2,s3
run 1s
----
   2.00s  a: create s4: free, possession 5
   2.02s  a: end s2: ended, possession 3
   3.00s  a: end s3: ended, possession 4
   3.02s  a: take s4: of a, possession 6
   3.03s  a starts s4, free, possession 6

# Where the end names no children they are looked for.
close a s4 end
run 2s
shards s1 s2<s1 s3<s1 s4<s2,s3 s5<s4
run 2s
rows
----
   6.01s  a: create s5: free, possession 7
   6.03s  a: end s4: ended, possession 6
   6.05s  a: take s5: of a, possession 8
   6.06s  a starts s5, free, possession 8
  worker a is running
  lease s1: ended, possession 1
  lease s2: ended, possession 3
  lease s3: ended, possession 4
  lease s4: ended, possession 6
  lease s5: of a, possession 8

# The owner dies between: whoever follows reads the end again.
fleet
shards s1
start a b
run 3s
hold a create
hold b create
close a s1 end s2<s1 s3<s1
run 100ms
crash a
run 5s
close b s1 end s2<s1 s3<s1
run 100ms
let b
run 1s
rows
----
   0.01s  a is joining
   0.01s  b is joining
   0.07s  a is running
   0.07s  b is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   3.00s  a: its create of s2 has no answer yet
   3.00s  a: create s3: free, possession 2
   7.08s  b declares a dead
   7.11s  b: take s1: of b, possession 2, 1 takeovers
   7.11s  b starts s1, dead from a, possession 2
   8.10s  b: its create of s2 has no answer yet
   8.21s  b: create s2: free, possession 3
   8.21s  b: end s1: ended, possession 2, 1 takeovers
   8.23s  b: take s2: of b, possession 4
   8.23s  b: take s3: of b, possession 3
   8.24s  b starts s2, free, possession 4
   8.24s  b starts s3, free, possession 3
  worker a is dead
  worker b is running
  lease s1: ended, possession 2, 1 takeovers
  lease s2: of b, possession 4
  lease s3: of b, possession 3

# A shard ends while it is handed over: then it is not.
fleet
shards s1 s2
start a
slow a
run 1s
start b
run 600ms
close a s1 end s3<s1 s4<s1
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
   1.60s  a: create s3: free, possession 3
   1.60s  a: create s4: free, possession 4
   1.61s  a: end s1: ended, possession 1
   1.65s  a: take s3: of a, possession 4
   1.65s  a starts s3, free, possession 4
   1.66s  b: take s3 is refused
   1.90s  b: take s4: of b, possession 5
   1.90s  b starts s4, free, possession 5
  worker a is running
  worker b is running
  lease s1: ended, possession 1
  lease s2: of a, possession 2
  lease s3: of a, possession 4
  lease s4: of b, possession 5

# It is drained, and ends by itself in the same moment.
fleet
shards s1 s2
start a
slow a
run 1s
start b
run 1s
close a s1 end s3<s1 s4<s1
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
   1.67s  a drains s1 to balance
   2.00s  a: create s3: free, possession 3
   2.00s  a: create s4: free, possession 4
   2.02s  a: end s1: ended, possession 1
   2.04s  a: take s3: of a, possession 4
   2.05s  a starts s3, free, possession 4
   2.06s  b: take s3 is refused
   2.29s  b: take s4: of b, possession 5
   2.30s  b starts s4, free, possession 5
  worker a is running
  worker b is running
  lease s1: ended, possession 1
  lease s2: of a, possession 2
  lease s3: of a, possession 4
  lease s4: of b, possession 5

# Its worker stops, and does not know the children: the next one finds them.
fleet
shards s1
start a
slow a
run 1s
stop a
close a s1 end
run 2s
rows
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
  worker a is dead
  lease s1: free, possession 2

# A worker is frozen for longer than the children that nobody named may take to
# show. It knows nothing of them, and does not end the shard without a listing.
fleet
shards s1
start a
run 2s
hold a list
close a s1 end
run 1s
pause a
run 35s
shards s1 s2<s1
resume a
let a
run 3s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s1: of a, possession 1
   0.09s  a starts s1, free, possession 1
   2.00s  a: its list has no answer yet
  38.02s  a: create s2: free, possession 2
  38.02s  a: end s1: ended, possession 1
  38.05s  a: take s2: of a, possession 3
  38.05s  a starts s2, free, possession 3
  worker a is running
  lease s1: ended, possession 1
  lease s2: of a, possession 3
