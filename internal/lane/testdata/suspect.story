# Nobody shares a request with a lane whose last attempt went unanswered or
# slowly, and at most half of the requests are kept for such lanes.
new requests=4
learn 0:0-7 1:8-15 2:16-23 3:24-31
accept 1 9 17
poll
fail 1 unknown
accept 25
poll after 100ms
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
poll is due
request 2:
  to 1, laned: 2@9
request 3:
  to 3, laned: 4@25
request 4:
  to 2, laned: 3@17

answer 3 stored
poll
----
4@25 is stored in 3 at 1/0

# An answer that takes more than two seconds is slow.
accept 26
poll after 1s
poll after 1500ms
answer 2 stored
answer 4 stored
accept 2 10 27
poll
----
poll is due
request 5:
  to 3, laned: 5@26
2@9 is stored in 1 at 2/0
3@17 is stored in 2 at 3/0
poll is due
request 6:
  to 1, laned: 7@10
request 7:
  to 0, laned: 1@1
