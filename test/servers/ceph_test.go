package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// ceph is a storage cluster of one monitor and one store in memory, below the gateway
// that serves S3. A manager daemon is not needed for that. It runs as whoever runs the test.
type ceph struct {
	dir, config string
}

// radosgw finds the gateway, and the programs that a cluster below it needs.
func radosgw() (string, error) {
	for _, name := range []string{"ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw-admin"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", notInstalled(name)
		}
	}
	program, err := exec.LookPath("radosgw")
	if err != nil {
		return "", notInstalled("radosgw")
	}
	return program, nil
}

func notInstalled(name string) error {
	return fmt.Errorf("%w: no %s on the PATH, where Debian's packages ceph-mon, ceph-osd and radosgw put it", errNotInstalled, name)
}

// cephVersion is that of the gateway, "16.2.15".
func cephVersion() string {
	text, err := exec.Command("radosgw", "--version").Output()
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 2 {
		return fields[2]
	}
	return "?"
}

// serveCeph starts the cluster; the gateway is the command.
func serveCeph(t *testing.T, s server, program, dir, host, port string) (*exec.Cmd, error) {
	t.Helper()
	monitor, err := freePort()
	if err != nil {
		return nil, err
	}
	c := ceph{dir: dir, config: filepath.Join(dir, "ceph.conf")}
	cluster, store := uuid.NewString(), uuid.NewString()
	if err := c.configure(cluster, host, monitor, port); err != nil {
		return nil, err
	}
	monitors := filepath.Join(dir, "monmap")
	for _, step := range []struct {
		daemon    bool
		arguments []string
	}{
		{false, []string{"monmaptool", "--create", "--fsid", cluster, "--addv", "a", "[v2:" + net.JoinHostPort(host, monitor) + "]", monitors}},
		{false, []string{"ceph-mon", "--id", "a", "--mkfs", "--monmap", monitors}},
		{true, []string{"ceph-mon", "--id", "a", "--foreground"}},
		// The monitor ignores a store whose ID it was not told.
		{false, []string{"ceph", "osd", "new", store}},
		{false, []string{"ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", store}},
		{true, []string{"ceph-osd", "--id", "0", "--foreground"}},
		{false, []string{"radosgw-admin", "user", "create", "--uid", "cargoship", "--display-name", "cargoship",
			"--access-key", s.accessKey, "--secret-key", s.secretKey}},
	} {
		if err := c.run(t, step.daemon, step.arguments...); err != nil {
			return nil, err
		}
	}
	return exec.Command(program, "--conf", c.config, "--foreground"), nil
}

// configure makes the directories and writes ceph.conf.
func (c ceph) configure(cluster, host, monitor, port string) error {
	for _, name := range []string{"mon", "osd", "rgw"} {
		if err := os.Mkdir(filepath.Join(c.dir, name), 0o700); err != nil {
			return err
		}
	}
	text := strings.NewReplacer("DIR", c.dir, "CLUSTER", cluster, "HOST", host, "MONITOR", monitor, "PORT", port).Replace(cephConfig)
	return os.WriteFile(c.config, []byte(text), 0o600)
}

// cephConfig keeps everything on one address and in one directory. Without authentication
// connections cannot be encrypted, as the gateway by default wants those to the monitor.
const cephConfig = `[global]
fsid = CLUSTER
mon host = v2:HOST:MONITOR
public addr = HOST
cluster addr = HOST
ms bind msgr1 = false
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
mon data = DIR/mon
osd data = DIR/osd
rgw data = DIR/rgw
run dir = DIR
crash dir = DIR
admin socket =
log file =
log to stderr = true
mon cluster log file =
debug rocksdb = 0
osd objectstore = memstore
memstore device bytes = 8589934592
osd pool default size = 1
osd pool default min size = 1
rgw frontends = beast endpoint=HOST:PORT
`

// run runs a program of the cluster to its end, or starts one that stays until the test ends.
func (c ceph) run(t *testing.T, daemon bool, arguments ...string) error {
	t.Helper()
	cmd := exec.Command(arguments[0], append([]string{"--conf", c.config}, arguments[1:]...)...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	child, err := children.start(cmd)
	if err != nil {
		return err
	}
	if daemon {
		t.Cleanup(func() {
			_ = child.Stop(0)
			if t.Failed() {
				t.Logf("%s said: %s", arguments[0], end(log.String()))
			}
		})
		return nil
	}
	select {
	case <-child.Done():
		err = child.Err()
	case <-time.After(startTime):
		_ = child.Stop(0)
		err = fmt.Errorf("%s has not ended after %v", strings.Join(arguments, " "), startTime)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, end(log.String()))
	}
	return nil
}

// end is the end of a log.
func end(log string) string { return log[max(0, len(log)-3000):] }
