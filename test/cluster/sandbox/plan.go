package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
)

// Addresses are of ranges that are kept for documentation: nothing else uses them,
// and nothing outside of the sandbox sees them.
const (
	hubAddress = "192.0.2.1" // the API server, the S3 server and the name server
	nodesRange = "192.0.2.0/24"
	podsRange  = "198.51.100.0/24"
	podBits    = 26 // pods of one node
	mostNodes  = 4  // as many ranges of podBits as podsRange holds
	firstNode  = 11 // last octet of the first node's address

	inside = "/run/cluster" // the run directory, as the sandbox sees it
)

// node is one machine of the sandbox: what its configuration files are made from.
type node struct {
	Name       string // also that of its network namespace
	Address    string
	Pods       string // the range of its pods
	AllPods    string
	Hub        string
	DNS        string
	Socket     string // containerd's
	CgroupRoot string
	ClientCA   string
	PauseImage string
	CNIPlugins string
	// Registry is what images are named by, RegistryPort where the hub serves it.
	Registry, RegistryPort string
}

// planNodes lays out count nodes.
func planNodes(count int, id, clientCA, plugins, registry string) ([]node, error) {
	if count < 1 || count > mostNodes {
		return nil, fmt.Errorf("plan %d nodes: from 1 to %d are possible", count, mostNodes)
	}
	pods := netip.MustParsePrefix(podsRange).Addr().As4()
	hub := netip.MustParseAddr(hubAddress).As4()
	nodes := make([]node, count)
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i+1)
		own, address := pods, hub
		own[3] = byte(i << (32 - podBits))
		address[3] = byte(firstNode + i)
		nodes[i] = node{
			Name:       name,
			Address:    netip.AddrFrom4(address).String(),
			Pods:       netip.PrefixFrom(netip.AddrFrom4(own), podBits).String(),
			AllPods:    podsRange,
			Hub:        hubAddress,
			DNS:        hubAddress,
			Socket:     filepath.Join(inside, name, "containerd.sock"),
			CgroupRoot: "/" + id + "/" + name,
			ClientCA:   clientCA,
			PauseImage: imageName("pause", "local"),
			CNIPlugins: plugins,
			Registry:   registry, RegistryPort: registryPort,
		}
	}
	return nodes, nil
}

// identity names a sandbox apart from others on this machine, by its run directory.
func identity(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "cargoship-" + hex.EncodeToString(sum[:4])
}
