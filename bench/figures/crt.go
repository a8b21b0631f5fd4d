package figures

import (
	"net"
	"os/exec"
	"strings"
)

// CRTName is the name of the client's rows, and CRTScript the program that uses it, which needs the port
// of its scheme.
const (
	CRTName   = "AWS CRT"
	CRTScript = "bench/crt/copy.py"
)

// FindCRT returns a Python that has the S3 client of the AWS Common Runtime, as Debian's
// python3-awscrt provides it, and its version; none where there is none, or where this user may not
// listen at the ports that it needs.
func FindCRT() (python, version string) {
	for _, tls := range []bool{false, true} {
		port, err := net.Listen("tcp", CRTAddress(tls))
		if err != nil || port.Close() != nil {
			return "", ""
		}
	}
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		said, err := exec.Command(python, "-c", "import awscrt.s3, importlib.metadata as m; print(m.version('awscrt'))").Output()
		if err == nil {
			return python, strings.TrimSpace(string(said))
		}
	}
	return "", ""
}

// CRTAddress is where a server has to listen for it.
func CRTAddress(tls bool) string {
	if tls {
		return "127.0.0.1:443"
	}
	return "127.0.0.1:80"
}
