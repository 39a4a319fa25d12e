# What is too large for company travels by itself, in its turn: wrapped in an
# aggregate, which gives it an identity, and as it is when that does not fit.
new aggregate=300 record=900
learn 0:0-31
accept 1 2,size=500 3 4,size=880 5
poll
answer 1 stored
poll
answer 2 stored
poll
answer 3 stored
poll
answer 4 stored
poll
----
0 opened
poll is due
request 1:
  to 0, laned: 1@1
1@1 is stored in 0 at 1/0
request 2:
  to 0, laned: 2@2
2@2 is stored in 0 at 2/0
request 3:
  to 0, laned: 3@3
3@3 is stored in 0 at 3/0
request 4:
  to 0, raw: 4@4
4@4 is stored in 0 at 4/0
request 5:
  to 0, laned: 5@5
