package simulate

import "github.com/libvegas/vegas/internal/fleet"

// Mutants of a fleet's runner; those of the machine are the rules of package
// fleet.
const (
	hastily     Mutant = "hastily"      // checkpoints cover records that are being handled
	disinherit  Mutant = "disinherit"   // children do not read their parents' marks
	lagging     Mutant = "lagging"      // marks that lag the checkpoint are not made up for
	leading     Mutant = "leading"      // marks are saved as of what is going to be checkpointed
	survive     Mutant = "survive"      // marks are used although somebody moved the checkpoint back
	localClock  Mutant = "local-clock"  // the latest record is the latest by one's own clock
	undeclared  Mutant = "undeclared"   // a death is declared without a write
	revive      Mutant = "revive"       // a heartbeat is written over a dead row
	remake      Mutant = "remake"       // a heartbeat makes the row anew
	unfenced    Mutant = "unfenced"     // checkpoints are not conditional on the possession
	unchecked   Mutant = "unchecked"    // records are delivered without a look at the clock
	careless    Mutant = "careless"     // a drained shard is given before its last checkpoint
	renumber    Mutant = "renumber"     // a lease made anew starts at possession 1
	remakeLease Mutant = "remake-lease" // a lease is made over one that is there
	rash        Mutant = "rash"         // a take without an answer counts as done
	racing      Mutant = "drift"        // clocks differ by more than the margin
)

// FleetMutants are the planted bugs of runner and machine, each with the
// invariants of which one has to catch it.
var FleetMutants = map[Mutant][]Invariant{
	hastily:     {checkpointAhead},
	disinherit:  {duplicate},
	lagging:     {duplicate},
	leading:     {marksLead},
	survive:     {skipped, checkpointAhead},
	localClock:  {skipped, checkpointAhead},
	undeclared:  {oneOwner},
	revive:      {resurrected},
	remake:      {resurrected},
	unfenced:    {fence},
	unchecked:   {oneOwner},
	careless:    {silentHandoff},
	renumber:    {fence},
	remakeLease: {twiceCreated},
	rash:        {oneOwner, fence},
	racing:      {oneOwner},

	Mutant(fleet.RuleResurrect):  {oneOwner},
	Mutant(fleet.RuleExists):     {resurrected},
	Mutant(fleet.RuleAgain):      {resurrected},
	Mutant(fleet.RuleName):       {nameTaken},
	Mutant(fleet.RuleFlag):       {astray},
	Mutant(fleet.RuleSent):       {oneOwner},
	Mutant(fleet.RuleEarly):      {fence, unproven},
	Mutant(fleet.RuleAnswered):   {fence, stuck},
	Mutant(fleet.RuleStale):      {unproven},
	Mutant(fleet.RuleLate):       {unproven},
	Mutant(fleet.RuleDeaf):       {oneOwner},
	Mutant(fleet.RuleTwice):      {oneAsk},
	Mutant(fleet.RuleOpinion):    {oneOwner},
	Mutant(fleet.RulePaused):     {blindly},
	Mutant(fleet.RuleGone):       {oneOwner},
	Mutant(fleet.RuleForce):      {oneOwner},
	Mutant(fleet.RuleHeir):       {astray},
	Mutant(fleet.RuleBeforeGive): {oneOwner},
	Mutant(fleet.RuleGreedy):     {stuck, balanced, idling},
	Mutant(fleet.RuleRested):     {rested},
	Mutant(fleet.RuleOrphans):    {parentsFirst},
	Mutant(fleet.RuleChildless):  {childless},
}
