# The leases of a dead worker are shared out by those who see them.
fleet a=3 b=3 c=3
die a
take
shares
----
b takes a1 a2
c takes a3
b has 5 of 5, c has 4 of 4

# One that has just joined gets its share of them, and nobody needs to hand over.
fleet a=6 b=6 c=0
die a
settle
----
c takes a1 a2 a3 a4 a5 a6
b has 6 of 6, c has 6 of 6

# Room that a stopping worker is going to fill is left to it.
fleet a=4! b=2 c=0 free=2
take
give
shares
----
c takes f1 f2
a gives a1 a2 to b
a gives a3 a4 to c
a has 0 of 0, b has 4 of 4, c has 4 of 4
