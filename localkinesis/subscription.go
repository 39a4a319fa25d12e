package localkinesis

// subscription is one running SubscribeToShard call.
type subscription struct{}
