package localkinesis

type decreaseStreamRetentionPeriodInput struct{ retentionInput }

func decreaseStreamRetentionPeriod(c *call, in *decreaseStreamRetentionPeriodInput) (*empty, error) {
	return in.retain(c, func(from, to int) *failure {
		if to > from {
			return refuse(codeArgument, "Requested retention period (%d hours) can not be longer than existing retention period (%d hours). Use IncreaseRetentionPeriod API.", to, from)
		}
		return nil
	})
}
