package localkinesis

import "slices"

type disableEnhancedMonitoringInput struct{ monitoringInput }

func disableEnhancedMonitoring(c *call, in *disableEnhancedMonitoringInput) (*monitoringOutput, error) {
	return in.monitor(c, func(have, names []string) []string {
		return slices.DeleteFunc(have, func(m string) bool { return slices.Contains(names, m) })
	})
}
