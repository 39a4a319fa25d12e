package foreign

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Jars has Maven copy what a pom depends on into a folder.
func Jars(ctx context.Context, pom, dir string) error {
	if err := Need("mvn", "Maven 3.8 or later"); err != nil {
		return err
	}
	return Run(ctx, "", "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+dir)
}

// Classes compiles sources, with jars at hand, into a folder.
func Classes(ctx context.Context, jars, dir string, sources ...string) error {
	if err := Need("javac", "a JDK 17 or later"); err != nil {
		return err
	}
	args := []string{"-proc:none", "-cp", filepath.Join(jars, "*"), "-d", dir} // there are processors among the jars, and they take a minute
	return Run(ctx, "", "javac", append(args, sources...)...)
}

// ClassPath has a folder of classes, and one of jars.
func ClassPath(classes, jars string) string {
	return classes + string(filepath.ListSeparator) + filepath.Join(jars, "*")
}

// DynamoDBReady is in the line that DynamoDB Local prints in front of its address.
const DynamoDBReady = "listening on "

// DynamoDB installs DynamoDB Local, given the root of the repository, and returns the
// command that serves it.
func DynamoDB(ctx context.Context, root string) (argv []string, err error) {
	p := Place{Cache: filepath.Join(root, ".cache", "peers"), Sources: filepath.Join(root, "peers")}
	inputs := []string{"dynamodb/pom.xml", "dynamodb/DynamoLocal.java"}
	dir, err := p.Install(ctx, "dynamodb", inputs, func(ctx context.Context, dir string) error {
		if err := Jars(ctx, filepath.Join(p.Sources, inputs[0]), dir); err != nil {
			return err
		}
		// The libraries of SQLite are looked for without their versions.
		const version = "-1.0.392"
		natives, err := filepath.Glob(filepath.Join(dir, "*"+version+".*"))
		if err != nil {
			return err
		}
		for _, file := range natives {
			if strings.HasSuffix(file, ".jar") {
				continue
			}
			if err := os.Rename(file, strings.Replace(file, version, "", 1)); err != nil {
				return err
			}
		}
		return Classes(ctx, dir, dir, filepath.Join(p.Sources, inputs[1]))
	})
	if err != nil {
		return nil, err
	}
	return []string{"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Djava.library.path=" + dir, "-cp", ClassPath(dir, dir), "DynamoLocal"}, nil
}
