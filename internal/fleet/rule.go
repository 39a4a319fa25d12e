package fleet

// Rule is one rule of the machine that a planted bug can break.
type Rule string

// The rules. Each closes a hole that the simulator can show.
const (
	// RuleResurrect: a worker whose heartbeat was refused is dead.
	RuleResurrect Rule = "resurrect"
	// RuleExists: a worker whose row is gone does not make it again.
	RuleExists Rule = "exists"
	// RuleAgain: a row whose creation has no answer is given up for one of another ID.
	RuleAgain Rule = "again"
	// RuleName: two workers of one name do not run.
	RuleName Rule = "name"
	// RuleFlag: heartbeats tell that a worker stops.
	RuleFlag Rule = "flag"

	// RuleSent: a heartbeat proves life from when it was sent, not from its answer.
	RuleSent Rule = "sent"
	// RuleEarly: a shard starts with the answer to its Take, and while that is worth
	// something.
	RuleEarly Rule = "early"
	// RuleAnswered: an answer belongs to the possession that it was asked under.
	RuleAnswered Rule = "answer"
	// RuleStale: what a row says is ours is taken anew.
	RuleStale Rule = "stale"
	// RuleLate: a possession that was drained is not resumed: what became of giving
	// it away may not be known.
	RuleLate Rule = "late"
	// RuleDeaf: nothing starts before the function before it has returned.
	RuleDeaf Rule = "deaf"
	// RuleTwice: one Ask per lease at a time.
	RuleTwice Rule = "twice"

	// RuleOpinion: a death is a write, not an opinion.
	RuleOpinion Rule = "opinion"
	// RulePaused: who was paused looks again before it declares anybody.
	RulePaused Rule = "paused"
	// RuleGone: only a read that is not behind proves that a row is gone.
	RuleGone Rule = "gone"

	// RuleForce: an heir leaves the lease to its owner until it is given.
	RuleForce Rule = "force"
	// RuleHeir: an heir that does not run blocks nobody.
	RuleHeir Rule = "heir"
	// RuleBeforeGive: a lease is given when its function has returned.
	RuleBeforeGive Rule = "drain"
	// RuleGreedy: a lease is given only to who has two fewer.
	RuleGreedy Rule = "greedy"
	// RuleRested: what a function gave back is left to others for a while.
	RuleRested Rule = "rest"

	// RuleOrphans: a shard starts after its parents' ends.
	RuleOrphans Rule = "orphans"
	// RuleChildless: an end is written when the children's leases are there.
	RuleChildless Rule = "childless"
)

// broken tells that a rule is broken on purpose.
func (m *Machine) broken(r Rule) bool { return r == m.c.Broken }
