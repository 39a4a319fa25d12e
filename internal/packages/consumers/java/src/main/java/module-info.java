module consumer {
    requires io.libvegas;
}
