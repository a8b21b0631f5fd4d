package protocol

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	must(t, DefaultConfig().Validate())
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"zero":          {func(c *Config) { c.PipelineDepth = 0 }, "pipelineDepth is 0, must be between 1 and 64"},
		"too many":      {func(c *Config) { c.MaxActivePrefixes = 65 }, "maxActivePrefixes is 65, must be between 1 and 64"},
		"strategy":      {func(c *Config) { c.Strategy = "Best" }, `strategy is "Best", must be TCPLike, FairShare or Adaptive`},
		"bandwidth":     {func(c *Config) { c.BandwidthStrategy = "" }, `bandwidthStrategy is "", must be FairShare or Proportional`},
		"not a number":  {func(c *Config) { c.LearningRate = math.NaN() }, "learningRate is NaN, must be above 0 and at most 1"},
		"exclusive":     {func(c *Config) { c.CongestionSensitivity = 1 }, "congestionSensitivity is 1, must be at least 0 and below 1"},
		"short lease":   {func(c *Config) { c.LeaseDuration = 5 * time.Second }, "leaseDuration is 5s, must be between 6s and 1h0m0s"},
		"short updates": {func(c *Config) { c.UpdateInterval = 0 }, "updateInterval is 0s, must be between 100ms and 1m0s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			test.change(&config)
			if err := config.Validate(); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestConfigNamesEveryMistake(t *testing.T) {
	err := Config{}.Validate()
	if got := strings.Count(err.Error(), "\n") + 1; got < 13 {
		t.Errorf("%d mistakes are named in the zero value: %v", got, err)
	}
}
