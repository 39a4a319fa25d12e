# frozen_string_literal: true

module Vegas
  # Values as they cross: each describes itself.
  module Value
    NOTHING, FALSE, TRUE, NUMBER, REAL, TEXT, BYTES, LIST, MAP = *0..8

    # What was read is no value.
    class Malformed < StandardError; end

    module_function

    # The bytes of a value: nil, true, false, numbers, strings (bytes if their
    # encoding is binary), symbols, arrays and hashes.
    def encode(value, into = String.new(encoding: Encoding::BINARY))
      case value
      when nil then into << NOTHING
      when false then into << FALSE
      when true then into << TRUE
      when Integer then into << [NUMBER, value].pack('Cq<')
      when Float then into << [REAL, value].pack('CE')
      when Symbol then text(value.name, into << TEXT)
      when String
        value.encoding == Encoding::BINARY ? bytes(value, into << BYTES) : text(value, into << TEXT)
      when Array
        into << [LIST, value.size].pack('CV')
        value.each { |v| encode(v, into) }
      when Hash
        into << [MAP, value.size].pack('CV')
        value.each { |k, v| encode(v, text(k.to_s, into)) }
      else raise ArgumentError, "#{value.class} cannot cross to the engine"
      end
      into
    end

    # The value that the whole of a string is.
    def decode(bytes)
      raise Malformed, 'too large for a value' if bytes.bytesize > Spec::VALUE_BYTES

      value, at = Reader.new(bytes).value(0, Spec::VALUE_DEPTH)
      raise Malformed, "#{bytes.bytesize - at} bytes behind the value" if at != bytes.bytesize

      value
    end

    def text(string, into)
      string = string.encode(Encoding::UTF_8) unless string.encoding == Encoding::UTF_8
      string = string.scrub unless string.valid_encoding?
      bytes(string.b, into)
    end

    def bytes(string, into)
      into << [string.bytesize].pack('V') << string
    end

    private_class_method :text, :bytes

    # Takes a value apart. Each method gives what it read, and where that ends.
    class Reader
      def initialize(bytes)
        @bytes = bytes
      end

      def value(at, depth)
        raise Malformed, 'nested too deep' if depth.zero?

        tag, at = take('C', 1, at)
        case tag
        when NOTHING then [nil, at]
        when FALSE then [false, at]
        when TRUE then [true, at]
        when NUMBER then take('q<', 8, at)
        when REAL then take('E', 8, at)
        when TEXT then text(at)
        when BYTES then string(at)
        when LIST then list(at, depth)
        when MAP then map(at, depth)
        else raise Malformed, "there is no tag #{tag}"
        end
      end

      private

      def take(template, size, at)
        raise Malformed, 'cut off' if at + size > @bytes.bytesize

        [@bytes.unpack1(template, offset: at), at + size]
      end

      # A length or count of things that take so many bytes at least.
      def size(at, each)
        n, at = take('V', 4, at)
        raise Malformed, 'a length that does not fit' if n * each > @bytes.bytesize - at

        [n, at]
      end

      def string(at)
        n, at = size(at, 1)
        [@bytes.byteslice(at, n), at + n]
      end

      def text(at)
        string, at = string(at)
        string.force_encoding(Encoding::UTF_8)
        raise Malformed, 'text is not UTF-8' unless string.valid_encoding?

        [string, at]
      end

      def list(at, depth)
        n, at = size(at, 1)
        list = Array.new(n) do
          v, at = value(at, depth - 1)
          v
        end
        [list, at]
      end

      def map(at, depth)
        n, at = size(at, 5)
        map = {}
        n.times do
          key, at = text(at)
          raise Malformed, "the key #{key} is there twice" if map.key?(key)

          map[key], at = value(at, depth - 1)
        end
        [map, at]
      end
    end
  end
end
