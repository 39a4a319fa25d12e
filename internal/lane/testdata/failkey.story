# With FailKey what is queued behind a failed record of the same hash fails with
# it; others go on.
new failkey
learn 0:0-31
accept 1,deadline=50ms 1 2
poll
accept 1 3
fail 1 unknown
poll after 100ms
----
0 opened
poll is due
request 1:
  to 0, laned: 1@1 2@1 3@2
request 2:
  to 0, laned: 3@2 5@3
1@1 is unknown after 1 attempts: deadline passed; the last attempt on its shard failed: unknown
2@1 is unknown after 1 attempts: an earlier record of the same key failed
4@1 is not stored after 0 attempts: an earlier record of the same key failed

# What comes later is a new beginning.
accept 1
answer 2 stored
poll
----
3@2 is stored in 0 at 1/0
5@3 is stored in 0 at 1/1
request 3:
  to 0, laned: 6@1
