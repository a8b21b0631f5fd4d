package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"cargoship.dev/operator/test/kit/assets"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	dir, err := assets.Ensure(ctx, assets.Options{Log: os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "controlplane: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
