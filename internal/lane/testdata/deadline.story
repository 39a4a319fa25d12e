# 1 expires while it is under way: it ends when its answer comes, here well.
new
learn 0:0-31
accept 1,deadline=50ms 1
poll
----
0 opened
poll is due
request 1:
  to 0, laned: 1@1 2@1

poll after 60ms
----

answer 1 stored
----
1@1 is stored in 0 at 1/0
2@1 is stored in 0 at 1/1

# 3 expires after an attempt of unknown outcome. The entry cannot leave with the
# same bytes any more; 4 goes on without it.
accept 2,deadline=50ms 2
poll
fail 2 unknown
poll after 100ms
----
poll is due
request 2:
  to 0, laned: 3@2 4@2
request 3:
  to 0, laned: 4@2
3@2 is unknown after 1 attempts: deadline passed; the last attempt on its shard failed: unknown

answer 3 stored
----
4@2 is stored in 0 at 2/0

# 5 was throttled, so it is not in the stream; 6 never left.
accept 2,deadline=30ms
poll
accept 2,deadline=30ms
answer 4 throttled
poll after 100ms
----
poll is due
request 4:
  to 0, laned: 5@2
poll is due
5@2 is not stored after 1 attempts: deadline passed; the last attempt on its shard failed: throttled
6@2 is not stored after 0 attempts: deadline passed; the last attempt on its shard failed: throttled
