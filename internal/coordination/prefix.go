package coordination

import (
	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/schedule"
)

// prefix is one prefix of one transfer, as each of the packages below knows it.
type prefix struct {
	name     string
	index    int // order of registration within the transfer
	transfer *transfer

	member *congestion.Member     // by which its group is known
	model  congestion.PrefixModel // of it alone
	share  fairshare.Prefix       // of the window and of the rate
	work   *schedule.Prefix       // its archives
}
