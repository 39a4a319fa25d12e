# frozen_string_literal: true

require 'did_you_mean'

module Vegas
  # Options as a program gives them, and as they cross.
  module Options
    # What was given, in the protocol's terms, and what is the binding's own.
    Given = Struct.new(:wire, :host)

    module_function

    def read(table, given)
      wire = {}
      host = {}
      given.each do |name, value|
        option = table[name] or raise BadOptionError, unknown(table, name)
        next if value.nil?

        if option.host || option.type == :function
          host[name] = check(option, value)
          wire[name] = true unless option.host
        else
          wire[name] = convert(option, value)
        end
      end
      wire[:stats_every] ||= 10_000_000 if host[:on_stats] && wire[:stats_every].to_i.zero?
      Given.new(wire, host)
    end

    def unknown(table, name)
      near = DidYouMean::SpellChecker.new(dictionary: table.keys).correct(name.to_s).first
      "there is no option #{name}#{": did you mean #{near}?" if near}"
    end

    def check(option, value)
      case option.type
      when :function then value.respond_to?(:call) ? value : wrong(option, value, 'something to call')
      else text(option, value)
      end
    end

    def convert(option, value)
      case option.type
      when :text then text(option, value)
      when :flag then [true, false].include?(value) ? value : wrong(option, value, 'true or false')
      when :number, :size then whole(option, value)
      when :duration then duration(option, value)
      when :word
        option.words.include?(value.to_s) ? value.to_s : wrong(option, value, option.words.join(', '))
      when :start then start(option, value)
      when :list then value.is_a?(Array) ? value : wrong(option, value, 'an array')
      end
    end

    def text(option, value)
      value = value.to_path if value.respond_to?(:to_path)
      value.is_a?(String) || value.is_a?(Symbol) ? value.to_s : wrong(option, value, 'a string')
    end

    def whole(option, value)
      value.is_a?(Integer) && value >= 0 ? value : wrong(option, value, 'a whole number, 0 or more')
    end

    # A number of seconds, in microseconds.
    def duration(option, value)
      ok = value.respond_to?(:to_f) && !value.is_a?(String) && value.to_f >= 0 && value.to_f.finite?
      ok ? (value.to_f * 1_000_000).round : wrong(option, value, 'a number of seconds, 0 or more')
    end

    def start(option, value)
      return value.to_s if %w[trim_horizon latest].include?(value.to_s)

      value = value.to_time if value.respond_to?(:to_time)
      value.is_a?(Time) ? (value.to_r * 1_000_000).to_i : wrong(option, value, ':trim_horizon, :latest or a Time')
    end

    def wrong(option, value, want)
      raise BadOptionError, "the option #{option.name} is #{value.inspect[0, 80]}: want #{want}"
    end

    private_class_method :unknown, :check, :convert, :text, :whole, :duration, :start, :wrong
  end
end
