// Readlog checks an exported log with the readers of Go's checksum database, and with nothing of Conclave's.
//
//	readlog BUNDLE VKEY PROOFS
//
// It opens BUNDLE/checkpoint with the key VKEY (signed-note), hashes every entry of BUNDLE/tile/entries, and holds the
// tree over them against the checkpoint's root and against every hash that BUNDLE/tile/<level> stands for (tlog-tiles).
// Then it checks the proofs in the file PROOFS, which Conclave made, and its own. Exit status: 0 when all of it holds,
// else 1 and a reason on standard error.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	width  = 1 << height
)

type proofs struct {
	Inclusion []struct {
		Index int64
		Proof tlog.RecordProof
	}
	Consistency []struct {
		First int64
		Proof tlog.TreeProof
	}
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("readlog: ")
	if len(os.Args) != 4 {
		log.Fatal("usage: readlog BUNDLE VKEY PROOFS")
	}
	bundle, vkey, file := folder(os.Args[1]), os.Args[2], os.Args[3]
	tree, err := openCheckpoint(bundle, vkey)
	if err != nil {
		log.Fatalf("checkpoint: %v", err)
	}
	hashes, err := hashEntries(bundle, tree)
	if err != nil {
		log.Fatalf("entries: %v", err)
	}
	if err := compareTiles(bundle, tree, hashes); err != nil {
		log.Fatalf("tiles: %v", err)
	}
	if err := checkProofs(file, bundle, tree, hashes); err != nil {
		log.Fatalf("proofs: %v", err)
	}
	fmt.Printf("%d %v\n", tree.N, tree.Hash)
}

// openCheckpoint returns the tree that the checkpoint speaks of, when vkey's holder signed it for the log of that name.
func openCheckpoint(bundle folder, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	data, err := bundle.read("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	rest := strings.TrimPrefix(opened.Text, verifier.Name()+"\n")
	if rest == opened.Text {
		return tlog.Tree{}, fmt.Errorf("not of the log %s", verifier.Name())
	}
	// A checkpoint differs from the checksum database's own tree notes in its first line alone.
	return tlog.ParseTree([]byte("go.sum database tree\n" + rest))
}

// stored holds every hash of a complete subtree, in tlog's order.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = s[index]
	}
	return found, nil
}

// hashEntries returns the hashes over all entries, when they lead to the tree's root.
func hashEntries(bundle folder, tree tlog.Tree) (stored, error) {
	var hashes stored
	for n := int64(0); n*width < tree.N; n++ {
		tile := tlog.Tile{H: height, L: 0, N: n, W: int(min(width, tree.N-n*width))}
		data, err := bundle.read(strings.Replace(path(tile), "tile/0/", "tile/entries/", 1))
		if err != nil {
			return nil, err
		}
		for i := 0; i < tile.W; i++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("bundle %d ends inside entry %d", n, i)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			fresh, err := tlog.StoredHashes(n*width+int64(i), data[2:end], hashes)
			if err != nil {
				return nil, err
			}
			hashes, data = append(hashes, fresh...), data[end:]
		}
		if len(data) != 0 {
			return nil, fmt.Errorf("bundle %d holds more than %d entries", n, tile.W)
		}
	}
	root, err := tlog.TreeHash(tree.N, hashes)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("they hash to %v, not to the checkpoint's %v", root, tree.Hash)
	}
	return hashes, err
}

// compareTiles holds every hash that is read from the tiles against the one over the entries.
func compareTiles(bundle folder, tree tlog.Tree, hashes stored) error {
	indexes := make([]int64, len(hashes))
	for i := range indexes {
		indexes[i] = int64(i)
	}
	read, err := tlog.TileHashReader(tree, bundle).ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i, hash := range read {
		if hash != hashes[i] {
			level, n := tlog.SplitStoredHashIndex(int64(i))
			return fmt.Errorf("hash %d of level %d is not that of the entries", n, level)
		}
	}
	return nil
}

// checkProofs checks the proofs in file, and those that tlog itself makes for the same leaves and sizes.
func checkProofs(file string, bundle folder, tree tlog.Tree, hashes stored) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var given proofs
	if err := json.Unmarshal(data, &given); err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, bundle)
	for _, one := range given.Inclusion {
		own, err := tlog.ProveRecord(tree.N, one.Index, reader)
		if err != nil {
			return err
		}
		leaf := hashes[tlog.StoredHashIndex(0, one.Index)]
		for _, proof := range []tlog.RecordProof{own, one.Proof} {
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, one.Index, leaf); err != nil {
				return fmt.Errorf("inclusion of %d: %v", one.Index, err)
			}
		}
	}
	for _, one := range given.Consistency {
		root, err := tlog.TreeHash(one.First, hashes)
		if err != nil {
			return err
		}
		own, err := tlog.ProveTree(tree.N, one.First, reader)
		if err != nil {
			return err
		}
		for _, proof := range []tlog.TreeProof{own, one.Proof} {
			if err := tlog.CheckTree(proof, tree.N, tree.Hash, one.First, root); err != nil {
				return fmt.Errorf("consistency with %d: %v", one.First, err)
			}
		}
	}
	return nil
}

// folder is a bundle on disk; a tlog.TileReader.
type folder string

func (f folder) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), filepath.FromSlash(name)))
}

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var err error
		if data[i], err = f.read(path(tile)); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// path returns the path of tlog-tiles, which leaves out the height.
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
