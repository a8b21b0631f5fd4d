// Command rclone is rclone with what it takes to serve a directory as S3, built from
// its Go module.
package main

import (
	_ "github.com/rclone/rclone/backend/local" // what is served
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/serve"    // rclone serve
	_ "github.com/rclone/rclone/cmd/serve/s3" // rclone serve s3
)

func main() { cmd.Main() }
