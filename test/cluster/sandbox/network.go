package sandbox

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"cargoship.dev/operator/test/kit"
)

const (
	bridge = "nodes"
	// meterTable counts what the nodes send to the S3 server.
	meterTable = "arrivals"
)

// connect makes a bridge in the sandbox's own network, and on it a network namespace
// for each node with routes to the pods of the others.
func connect(ctx context.Context, nodes []node) error {
	commands := []string{
		"ip link set lo up",
		"ip link add " + bridge + " type bridge",
		"ip addr add " + hubAddress + "/24 dev " + bridge,
		"ip link set " + bridge + " up",
	}
	for _, n := range nodes {
		commands = append(commands,
			"ip netns add "+n.Name,
			fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", n.Name, n.Name),
			fmt.Sprintf("ip link set %s master %s up", n.Name, bridge),
			fmt.Sprintf("ip -n %s link set lo up", n.Name),
			fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", n.Name, n.Address),
			fmt.Sprintf("ip -n %s link set eth0 up", n.Name),
			// A kubelet wants a default route, whether or not it leads anywhere.
			fmt.Sprintf("ip -n %s route add default via %s", n.Name, hubAddress),
			fmt.Sprintf("ip route add %s via %s", n.Pods, n.Address),
			fmt.Sprintf("nsenter --net=/run/netns/%s sysctl -qw net.ipv4.ip_forward=1", n.Name),
		)
		for _, other := range nodes {
			if other.Name != n.Name {
				commands = append(commands, fmt.Sprintf("ip -n %s route add %s via %s", n.Name, other.Pods, other.Address))
			}
		}
	}
	commands = append(commands,
		"nft add table inet "+meterTable,
		"nft add chain inet "+meterTable+" input { type filter hook input priority 0 ; }",
		fmt.Sprintf("nft add rule inet %s input iifname %s tcp dport %s counter", meterTable, bridge, kit.S3Port))
	for _, command := range commands {
		if err := run(ctx, strings.Fields(command)...); err != nil {
			return fmt.Errorf("connect the nodes: %w", err)
		}
	}
	return nil
}

// run runs a command to its end; its error holds the command and its output.
func run(ctx context.Context, argv ...string) error {
	_, err := output(ctx, argv...)
	return err
}

// output runs a command as run does, and returns what it wrote.
func output(ctx context.Context, argv ...string) (string, error) {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
