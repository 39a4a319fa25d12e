# At the end of Close's patience everything ends: what never left, or was
# refused, is not stored; the rest is unknown. Late answers change nothing.
new
learn 0:0-15 1:16-31
accept 1 20
poll
answer 1 throttled unknown
poll after 100ms
accept 2 21
abort
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@1
  to 1, laned: 2@20
request 2:
  to 1, laned: 2@20
request 3:
  to 0, laned: 1@1
3@2 is not stored after 0 attempts: closed
4@21 is not stored after 0 attempts: closed
2@20 is unknown after 2 attempts: closed
1@1 is unknown after 2 attempts: closed

answer 2 stored
poll
----
