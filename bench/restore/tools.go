package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/test/kit"
)

const (
	ours   = "cargoship"
	bucket = "bench"
)

// job is one restore.
type job struct {
	column
	// endpoint is the lab's, target where the files are to go, archive a local tar of them.
	endpoint, target, archive string
	access                    kit.S3Access
}

// packedAt and plainAt are where a column's archives and its files as objects are in the bucket.
func (c column) packedAt() string { return "packed/" + c.name }
func (c column) plainAt() string  { return "plain/" + c.data.name }

// tool is a program under test. Its command is nil where it has no part in a column.
type tool struct {
	name string
	// schemePort: it knows servers at the port of their scheme only.
	schemePort bool
	command    func(j job) *exec.Cmd
}

// tools returns those that are there; the other clients that are Go modules in the versions that are pinned
// below bench/transfer.
func tools(bin string) ([]tool, error) {
	peer := func(name string) string { return filepath.Join(bin, "peers", name) }
	var found []tool
	for _, t := range []struct {
		tool
		path string
	}{
		{tool{name: ours, command: cargoship(bin)}, filepath.Join(bin, "cargoship")},
		{tool{name: "s5cmd", command: s5cmd(peer("s5cmd"))}, peer("s5cmd")},
		{tool{name: "rclone", command: rclone(peer("rclone"))}, peer("rclone")},
		{tool{name: "mc", command: mc(peer("mc"))}, peer("mc")},
		{tool{name: "juicefs sync", command: juicefs(peer("juicefs"))}, peer("juicefs")},
		{tool{name: "tar", command: tarCommand}, "tar"},
	} {
		if _, err := exec.LookPath(t.path); err != nil {
			return nil, fmt.Errorf("find %s: %w: run make bench-restore", t.name, err)
		}
		found = append(found, t.tool)
	}
	if python, _ := figures.FindCRT(); python != "" {
		found = append(found, tool{figures.CRTName, true, awsCRT(python)})
	}
	return found, nil
}

// allFiles is a command that has no part in the column of one file.
func allFiles(command func(j job) *exec.Cmd) func(j job) *exec.Cmd {
	return func(j job) *exec.Cmd {
		if j.one {
			return nil
		}
		return command(j)
	}
}

// awsCRT is told the files, since it lists nothing.
func awsCRT(python string) func(j job) *exec.Cmd {
	return allFiles(func(j job) *exec.Cmd {
		cmd := exec.Command(python, figures.CRTScript, "get", j.endpoint, bucket+"/"+j.plainAt(), j.target)
		var keys strings.Builder
		for i := range j.data.files {
			keys.WriteString(filepath.ToSlash(j.data.path(i)) + "\n")
		}
		cmd.Stdin = strings.NewReader(keys.String())
		return cmd
	})
}

func cargoship(bin string) func(j job) *exec.Cmd {
	return func(j job) *exec.Cmd {
		args := []string{"restore", "s3://" + bucket + "/" + j.packedAt(), j.target}
		if j.one {
			args = append(args, filepath.ToSlash(j.data.path(j.data.files/3)))
		}
		return exec.Command(filepath.Join(bin, "cargoship"), append(args, "--endpoint-url", j.endpoint, "--path-style", "--region", j.access.Region, "--json")...)
	}
}

func s5cmd(program string) func(j job) *exec.Cmd {
	return allFiles(func(j job) *exec.Cmd {
		return exec.Command(program, "--endpoint-url", j.endpoint, "--log", "error", "cp", "s3://"+bucket+"/"+j.plainAt()+"/*", j.target+"/")
	})
}

// rclone gets as many transfers as help it, and is spared comparing with what is there.
func rclone(program string) func(j job) *exec.Cmd {
	return allFiles(func(j job) *exec.Cmd {
		cmd := exec.Command(program, "copy", "bench:"+bucket+"/"+j.plainAt(), j.target,
			"--transfers", "32", "--multi-thread-streams", "8", "--no-check-dest", "--config", "/dev/null", "--log-level", "ERROR")
		cmd.Env = []string{
			"RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Other", "RCLONE_CONFIG_BENCH_ENV_AUTH=true",
			"RCLONE_CONFIG_BENCH_ENDPOINT=" + j.endpoint, "RCLONE_CONFIG_BENCH_REGION=" + j.access.Region,
		}
		return cmd
	})
}

// mc cannot be told how many files to fetch at once.
func mc(program string) func(j job) *exec.Cmd {
	return allFiles(func(j job) *exec.Cmd {
		cmd := exec.Command(program, "--quiet", "mirror", "bench/"+bucket+"/"+j.plainAt()+"/", j.target+"/")
		cmd.Env = []string{figures.MCHost("bench", j.endpoint, j.access.AccessKey, j.access.SecretKey)}
		return cmd
	})
}

// juicefs gets as many threads as rclone has transfers; by default it has ten.
func juicefs(program string) func(j job) *exec.Cmd {
	return allFiles(func(j job) *exec.Cmd {
		_, host, _ := strings.Cut(j.endpoint, "://")
		return exec.Command(program, "sync", "--threads", "32", "--no-https", "s3://"+host+"/"+bucket+"/"+j.plainAt()+"/", j.target+"/")
	})
}

// tarCommand extracts a local archive: what is left without a network.
func tarCommand(j job) *exec.Cmd {
	if j.tar == "" {
		return nil
	}
	return exec.Command("tar", append(strings.Fields(j.tar), j.archive, "--directory", j.target)...)
}
