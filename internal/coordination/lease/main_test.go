package lease

import (
	"flag"
	"os"
	"testing"
)

// The properties of this package take microseconds to try: a hundred tries, as rapid does, miss what goes
// wrong once in thousands.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "20000"); err != nil {
		panic(err)
	}
	flag.Parse() // which may ask for another number
	os.Exit(m.Run())
}
