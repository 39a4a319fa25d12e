package io.libvegas;

import static io.libvegas.Tests.contains;
import static io.libvegas.Tests.equal;
import static io.libvegas.Tests.yes;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Unpacking, by programs that have a small script for an engine in their class path. */
public final class BinaryTest {
    private final Path folder;
    private final Path resources;
    private final Path into;
    private String digest;

    public BinaryTest() throws Exception {
        folder = Files.createTempDirectory("vegas-binary");
        resources = folder.resolve("resources/META-INF/native/linux-" + (System.getProperty("os.arch").equals("aarch64") ? "arm64" : "x64"));
        into = folder.resolve("into");
        Files.createDirectories(resources);
        engine("#!/bin/sh\necho no engine\n");
    }

    private void engine(String script) throws Exception {
        Files.writeString(resources.resolve("vegas-engine"), script);
        digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(script.getBytes()));
        Files.writeString(resources.resolve("vegas-engine.sha256"), digest + "  vegas-engine\n");
    }

    private Programs.Child program() throws IOException {
        return Programs.start("open", Map.of("VEGAS_ENGINE", ""), List.of("-Dvegas.dir=" + into), folder.resolve("resources").toString(), List.of());
    }

    private Path unpacked() {
        return into.resolve(digest.substring(0, 16)).resolve("vegas-engine");
    }

    public void testUnpacksOnceAndMendsWhatIsBroken() throws Exception {
        contains(program().end(1), "EngineMissing: " + unpacked() + " is no vegas engine");
        equal("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(into)));
        equal("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(unpacked())));
        Object first = Files.getAttribute(unpacked(), "unix:ino");
        program().end(1);
        equal(first, Files.getAttribute(unpacked(), "unix:ino"));
        Files.writeString(unpacked(), "something else");
        contains(program().end(1), "is no vegas engine");
        contains(Files.readString(unpacked()), "echo no engine");
    }

    public void testManyAtOnce() throws Exception {
        List<Programs.Child> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            all.add(program());
        }
        for (Programs.Child c : all) {
            contains(c.end(1), "is no vegas engine");
        }
        try (var left = Files.list(unpacked().getParent())) {
            equal(List.of(unpacked()), left.toList());
        }
    }

    public void testFoldersOfOthers() throws Exception {
        Files.createDirectory(into);
        Files.setPosixFilePermissions(into, PosixFilePermissions.fromString("rwxrwxrwx"));
        contains(program().end(1), "can be written by others");
        Files.delete(into);
        Files.createSymbolicLink(into, Files.createDirectory(folder.resolve("elsewhere")));
        contains(program().end(1), "is no folder");
        if (System.getProperty("user.name").equals("root")) {
            Files.delete(into);
            Files.createDirectory(into, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            Files.setAttribute(into, "unix:uid", 65534);
            contains(program().end(1), "another user's");
        }
    }

    public void testFoldersThatNothingCanBeStartedFrom() throws Exception {
        Files.createDirectory(into);
        try {
            int status = new ProcessBuilder("unshare", "-rm", "mount", "-t", "tmpfs", "none", into.toString()).start().waitFor();
            yes(status == 0, "status " + status);
        } catch (IOException | AssertionError e) {
            System.out.println("left out: mounting what cannot be executed, for unshare: " + e.getMessage());
            return;
        }
        String noexec = mounted("noexec,mode=700", into, "-Dvegas.dir=" + into).end(1);
        contains(noexec, "EngineMissing: the engine cannot be unpacked");
        contains(noexec, "is mounted noexec");
        contains(noexec, "-Dvegas.dir");
        // A home like that leaves the temporary folder, and one that nobody can write does, too.
        Path temporary = Files.createDirectory(folder.resolve("tmp"));
        for (String how : List.of("noexec,mode=700", "ro")) {
            contains(mounted(how, into, "-Duser.home=" + into, "-Djava.io.tmpdir=" + temporary).end(1), temporary + "/vegas-");
        }
    }

    /** The program, with something mounted on a folder, where only it sees that. */
    private Programs.Child mounted(String how, Path where, String... options) throws IOException {
        return Programs.start("open", Map.of("VEGAS_ENGINE", "", "XDG_CACHE_HOME", ""), List.of(options), folder.resolve("resources").toString(),
            List.of("unshare", "-rm", "sh", "-c", "mount -t tmpfs -o " + how + " none " + where + " && exec \"$@\"", "sh"));
    }

    public void testWhatIsNotThePackages() throws Exception {
        Files.writeString(resources.resolve("vegas-engine.sha256"), "0".repeat(64));
        contains(program().end(1), "is not the package's engine");
    }

    public void testNoEngine() throws Exception {
        Files.delete(resources.resolve("vegas-engine.sha256"));
        String out = program().end(1);
        contains(out, "the package has no engine for");
        yes(!Files.exists(into), "nothing is made");
    }
}
