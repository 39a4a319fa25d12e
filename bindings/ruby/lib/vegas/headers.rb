# frozen_string_literal: true

module Vegas
  # Headers of a record: pairs in their order, of which several may have one name.
  class Headers
    include Enumerable

    EMPTY_BYTES = ''.b.freeze

    # What a program gives, as it crosses: a hash or pairs, of strings.
    def self.encode(given)
      return EMPTY_BYTES if given.nil? || given.empty?

      pairs = given.respond_to?(:pairs) ? given.pairs : given.to_a
      raise BadOptionError, "a record has #{pairs.size} headers: at most 65535 fit" if pairs.size > 0xFFFF

      pairs.each_with_object([pairs.size].pack('v')) do |(name, value), into|
        name = name.to_s.encode(Encoding::UTF_8).b
        raise BadOptionError, "a header is called #{name.inspect[0, 80]}: want 1 to 65535 bytes" if name.empty? || name.bytesize > 0xFFFF
        raise BadOptionError, "the header #{name[0, 80]} is #{value.class}: want a String" unless value.is_a?(String)

        into << [name.bytesize, value.bytesize].pack('vV') << name << value.b
      end
    end

    # As they came.
    def self.decode(bytes)
      return EMPTY if bytes.empty?

      at = 2
      pairs = Array.new(bytes.unpack1('v')) do
        name, value = bytes.unpack('vV', offset: at)
        at += 6 + name + value
        [bytes.byteslice(at - name - value, name).force_encoding(Encoding::UTF_8), bytes.byteslice(at - value, value)]
      end
      new(pairs)
    end

    attr_reader :pairs

    def initialize(pairs)
      @pairs = pairs.freeze
    end

    # The first value of that name, or nil.
    def [](name)
      @pairs.find { |key, _| key == name.to_s }&.last
    end

    # All values of that name.
    def values(name)
      @pairs.filter_map { |key, value| value if key == name.to_s }
    end

    def key?(name)
      @pairs.any? { |key, _| key == name.to_s }
    end

    def each(&block)
      return to_enum(:each) { size } unless block

      @pairs.each { |pair| block.call(*pair) }
      self
    end

    def size
      @pairs.size
    end

    def empty?
      @pairs.empty?
    end

    # The first value of each name.
    def to_h
      @pairs.reverse.to_h
    end

    def inspect
      "#<#{self.class} #{@pairs.inspect}>"
    end

    EMPTY = new([])
  end
end
