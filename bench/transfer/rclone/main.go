// Command rclone is rclone with the two backends and the command that the benchmark
// uses, built from its Go module.
package main

import (
	_ "github.com/rclone/rclone/backend/local" // the source
	_ "github.com/rclone/rclone/backend/s3"    // the destination
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/copy"    // rclone copy
	_ "github.com/rclone/rclone/cmd/version" // rclone version
)

func main() { cmd.Main() }
