# A group begins on a stream with a past: parents first, and what is no longer
# listed is gone.
fleet
shards s2<s1 s3<s2 s4<s2 s5<s3,s4
start a
run 2s
rows
----
   0.01s  a is joining
   0.07s  a is running
   0.09s  a: create s2: of a, possession 1
   0.09s  a starts s2, free, possession 1
  worker a is running
  lease s2: of a, possession 1

close a s2 end s3<s2 s4<s2
run 1s
close a s3 end s5<s3,s4
close a s4 end s5<s3,s4
run 1s
rows
----
   2.00s  a: create s3: free, possession 2
   2.00s  a: create s4: free, possession 3
   2.02s  a: end s2: ended, possession 1
   2.04s  a: take s3: of a, possession 3
   2.04s  a: take s4: of a, possession 4
   2.05s  a starts s3, free, possession 3
   2.05s  a starts s4, free, possession 4
   3.00s  a: create s5: free, possession 5
   3.02s  a: end s3: ended, possession 3
   3.02s  a: end s4: ended, possession 4
   3.04s  a: take s5: of a, possession 6
   3.05s  a starts s5, free, possession 6
  worker a is running
  lease s2: ended, possession 1
  lease s3: ended, possession 3
  lease s4: ended, possession 4
  lease s5: of a, possession 6

# The stream forgets; so does the group, a while later, and not before the children
# were begun.
shards s5<s3,s4
run 5m
rows
----
 120.08s  a: forget s2
  worker a is running
  lease s3: ended, possession 3
  lease s4: ended, possession 4
  lease s5: of a, possession 6
