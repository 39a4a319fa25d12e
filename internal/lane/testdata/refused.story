# A request is refused as a whole. Its entries leave again in halves until the
# one to blame is alone; the others are stored.
new
learn 0:0-7 1:8-15 2:16-23 3:24-31
accept 1 9 17 25
poll
----
0 opened
1 opened
2 opened
3 opened
poll is due
request 1:
  to 0, laned: 1@1
  to 1, laned: 2@9
  to 2, laned: 3@17
  to 3, laned: 4@25

fail 1 refused
poll
----
request 2:
  to 1, laned: 2@9
  to 0, laned: 1@1
request 3:
  to 2, laned: 3@17
  to 3, laned: 4@25

fail 2 refused
answer 3 stored
poll
----
3@17 is stored in 2 at 1/0
4@25 is stored in 3 at 2/0
request 4:
  to 1, laned: 2@9
request 5:
  to 0, laned: 1@1

fail 4 refused
answer 5 stored
----
2@9 is not stored after 3 attempts: refused
1@1 is stored in 0 at 3/0
