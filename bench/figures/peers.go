package figures

import "strings"

// PeerNotes is what pages tell of clients that could not be configured, or built, as the others.
const PeerNotes = "mc copies as many files at once as there are processors, more every four seconds, and has no setting for it; " +
	"juicefs sync is built of JuiceFS's packages, without the rest of the program, which needs cgo."

// MCHost is the variable of the environment by which mc knows a server: its alias, where it is, and the keys.
func MCHost(alias, endpoint, accessKey, secretKey string) string {
	scheme, host, _ := strings.Cut(endpoint, "://")
	return "MC_HOST_" + alias + "=" + scheme + "://" + accessKey + ":" + secretKey + "@" + host
}
