# Access is denied: no record can succeed, all that is not under way ends.
new requests=2
learn 0:0-15 1:16-31
accept 1
poll
accept 20
poll
accept 2 21
fail 1 fatal
----
0 opened
1 opened
poll is due
request 1:
  to 0, laned: 1@1
poll is due
request 2:
  to 1, laned: 2@20
1@1 is not stored after 1 attempts: fatal
3@2 is not stored after 0 attempts: fatal
4@21 is not stored after 0 attempts: fatal

answer 2 stored
poll
----
2@20 is stored in 1 at 1/0
