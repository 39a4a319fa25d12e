# What one may not take is shared by the others.
fleet a=0/2 b=0 c=0 free=11
settle
----
a takes f1 f10
b takes f3 f4 f7 f8 f9
c takes f11 f2 f5 f6
a has 2 of 2, b has 5 of 5, c has 4 of 4

# Where all have limits, something stays free.
fleet a=0/2 b=0/3 free=7
settle
join c
settle
----
a takes f1 f2
b takes f3 f4 f5
a has 2 of 2, b has 3 of 3, 2 free
c takes f6 f7
a has 2 of 2, b has 3 of 3, c has 2 of 2

# Beyond its limit, since two gave to it at once: it keeps that, for nobody has two
# fewer; once somebody has, it gives.
fleet a=3/2 b=4 c=4
settle
join d
join e
settle
----
a has 3 of 3, b has 4 of 4, c has 4 of 4
a gives a1 to d
b gives b1 to d
c gives c1 c2 to e
a has 2 of 2, b has 3 of 3, c has 2 of 2, d has 2 of 2, e has 2 of 2
